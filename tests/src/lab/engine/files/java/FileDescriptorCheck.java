package @VENDOR@.bootstrap;

import java.util.Locale;
import @VENDOR@.monitor.process.ProcessProbe;

/**
 * The engine's own check of open files, with one difference: it accepts @CEILING@, the most that this
 * machine allows anybody. Less than that fails as everywhere.
 */
class BootstrapChecks$FileDescriptorCheck implements BootstrapCheck {
    private final int limit;

    BootstrapChecks$FileDescriptorCheck() {
        this(65535);
    }

    protected BootstrapChecks$FileDescriptorCheck(int limit) {
        this.limit = limit;
    }

    @Override
    public final BootstrapCheckResult check(BootstrapContext context) {
        long count = getMaxFileDescriptorCount();
        if (count == -1 || count >= Math.min(limit, @CEILING@)) {
            return BootstrapCheckResult.success();
        }
        return BootstrapCheckResult.failure(String.format(Locale.ROOT,
            "max file descriptors [%d] for @NAME@ process is too low, increase to at least [%d]", count, limit));
    }

    @CHECK_MEMBERS@

    long getMaxFileDescriptorCount() {
        return ProcessProbe.getInstance().getMaxFileDescriptorCount();
    }
}
