//! The store, while the service is stopped.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write, sink};
use std::path::Path;

use anyhow::{Context, bail};
use controller::{Config, init};
use controller_store::{SledStore, Store, export, import};

use crate::arguments::StoreTask;
use crate::output::{complain, print_line};

pub(crate) fn perform(config: &Config, task: StoreTask) -> anyhow::Result<()> {
    let directory = config.store_dir();
    let result = on_store(&directory, task);
    init::give_to_service(&config.state_dir)
        .with_context(|| format!("giving {} back to the service", directory.display()))?;
    result
}

fn on_store(directory: &Path, task: StoreTask) -> anyhow::Result<()> {
    let (store, report) = SledStore::open(directory).context("stop the controller first if it runs")?;
    if let Some(moved) = report.quarantined {
        complain(&format!("the store could not be opened and was moved to {}; this is an empty one", moved.display()));
    }
    match task {
        StoreTask::Check => {
            let records = export(&store, &mut sink())?;
            print_line(&format!("Records read: {records}. Damaged: {}.", store.damaged()))?;
            if store.damaged() > 0 {
                bail!("some records are damaged and are left out of every answer");
            }
        }
        StoreTask::Export { file: None } => {
            export(&store, &mut BufWriter::new(std::io::stdout().lock()))?;
        }
        StoreTask::Export { file: Some(path) } => {
            let file = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
            let mut file = BufWriter::new(file);
            let records = export(&store, &mut file)?;
            file.flush()?;
            file.get_ref().sync_all()?;
            print_line(&format!("Records written: {records}."))?;
        }
        StoreTask::Import { file } => {
            let input = File::open(&file).with_context(|| format!("reading {}", file.display()))?;
            print_line(&format!("Records read: {}.", import(&store, &mut BufReader::new(input))?))?;
        }
    }
    Ok(())
}
