package org.elasticsearch.launcher;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.elasticsearch.bootstrap.BootstrapInfo;
import org.elasticsearch.bootstrap.ServerArgs;
import org.elasticsearch.common.io.stream.OutputStreamStreamOutput;
import org.elasticsearch.common.settings.KeyStoreWrapper;
import org.elasticsearch.common.settings.SecureString;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;

/**
 * Starts the server as a child and hands it its settings, as the vendor's launcher of 8.x does; that one is
 * not published. Arguments: the options of the unit's command line, then {@code --}, then the options of the
 * server's Java.
 */
public final class CliToolLauncher {
    private final Map<String, String> settings = new HashMap<>();
    private final List<String> javaOptions = new ArrayList<>();
    private Path pidFile;
    private boolean quiet;

    public static void main(String[] arguments) throws Exception {
        CliToolLauncher launcher = new CliToolLauncher();
        launcher.read(List.of(arguments));
        System.exit(launcher.run());
    }

    private void read(List<String> arguments) {
        int separator = arguments.indexOf("--");
        for (int i = 0; i < separator; i++) {
            String argument = arguments.get(i);
            if (argument.equals("-q") || argument.equals("--quiet")) {
                quiet = true;
            } else if (argument.equals("-p") || argument.equals("--pidfile")) {
                pidFile = Path.of(arguments.get(++i));
            } else if (argument.startsWith("-E")) {
                String setting = argument.length() > 2 ? argument.substring(2) : arguments.get(++i);
                String[] parts = setting.split("=", 2);
                settings.put(parts[0], parts.length > 1 ? parts[1] : "");
            } else {
                throw new IllegalArgumentException(argument + " is not a recognized option");
            }
        }
        javaOptions.addAll(arguments.subList(separator + 1, arguments.size()));
    }

    private int run() throws Exception {
        Path configuration = Path.of(System.getenv("ES_PATH_CONF"));
        settings.putIfAbsent("path.home", System.getenv("ES_HOME"));
        Environment environment = InternalSettingsPreparer.prepareEnvironment(
            Settings.EMPTY, settings, configuration, () -> System.getenv("HOSTNAME"));
        KeyStoreWrapper secrets = KeyStoreWrapper.bootstrap(
            environment.configFile(), () -> new SecureString(new char[0]));
        ServerArgs arguments = new ServerArgs(
            false, quiet, pidFile, secrets, environment.settings(), environment.configFile(), environment.logsFile());

        Process server = startServer();
        OutputStream stdin = server.getOutputStream();
        var out = new OutputStreamStreamOutput(stdin);
        arguments.writeTo(out);
        out.flush();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(server, stdin)));

        boolean ready = copyErrorsUntilReady(server);
        int code = server.waitFor();
        if (!ready) {
            System.err.println("ERROR: Elasticsearch died while starting up, with exit code " + code);
        } else if (code != 0 && code != 143) {
            System.err.println("ERROR: Elasticsearch exited unexpectedly, with exit code " + code);
        }
        return code;
    }

    private Process startServer() throws Exception {
        Path home = Path.of(System.getenv("ES_HOME"));
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(javaOptions);
        command.addAll(List.of(
            "--module-path", home.resolve("lib").toString(),
            "--add-modules=jdk.net", "--add-modules=ALL-MODULE-PATH",
            "-m", "org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch"));
        return new ProcessBuilder(command).redirectOutput(ProcessBuilder.Redirect.INHERIT).start();
    }

    /** Lines of the server go to standard error, the mark that it is ready to systemd. */
    private static boolean copyErrorsUntilReady(Process server) throws Exception {
        boolean ready = false;
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(server.getErrorStream()))) {
            for (String line; (line = lines.readLine()) != null;) {
                if (line.length() == 1 && line.charAt(0) == BootstrapInfo.SERVER_READY_MARKER) {
                    ready = true;
                    if (System.getenv("NOTIFY_SOCKET") != null) {
                        new ProcessBuilder("systemd-notify", "--ready").inheritIO().start().waitFor();
                    }
                } else {
                    System.err.println(line);
                }
            }
        }
        return ready;
    }

    private static void stop(Process server, OutputStream stdin) {
        try {
            stdin.write(BootstrapInfo.SERVER_SHUTDOWN_MARKER);
            stdin.flush();
        } catch (java.io.IOException ended) {
            // There is nobody left to tell.
        }
        server.onExit().join();
    }
}
