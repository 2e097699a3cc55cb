package @VENDOR@.systemd;

import @VENDOR@.plugins.ClusterPlugin;
import @VENDOR@.plugins.Plugin;
import com.sun.jna.Native;
import java.security.AccessController;
import java.security.PrivilegedAction;

/** Tells systemd when the node has started, as the vendor's own module of this name does. */
public class SystemdPlugin extends Plugin implements ClusterPlugin {
    static final class LibSystemd {
        static {
            AccessController.doPrivileged((PrivilegedAction<Void>) () -> {
                Native.register(LibSystemd.class, "libsystemd.so.0");
                return null;
            });
        }

        static native int sd_notify(int unsetEnvironment, String state);
    }

    @Override
    public void onNodeStarted() {
        LibSystemd.sd_notify(0, "READY=1");
    }

    @Override
    public void close() {
        LibSystemd.sd_notify(0, "STOPPING=1");
    }
}
