import @VENDOR@.common.settings.Settings;
import @VENDOR@.node.InternalSettingsPreparer;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Collections;

/**
 * Reads many files as the engine reads its own yml when it starts. The first argument holds them, each behind its length; each is put
 * at the second one, in turn. A line for each: "+" and the settings as the engine writes them in JSON, or "-" and why it refused.
 */
public class ReadSettings {
    public static void main(String[] arguments) throws IOException {
        // The engine's own log may use standard output; the answers must stay apart from it.
        PrintStream answers = new PrintStream(System.out, false, "UTF-8");
        System.setOut(System.err);
        Path file = Paths.get(arguments[1]);
        byte[] all = Files.readAllBytes(Paths.get(arguments[0]));
        try (DataInputStream texts = new DataInputStream(new java.io.ByteArrayInputStream(all))) {
            while (texts.available() > 0) {
                byte[] text = new byte[texts.readInt()];
                texts.readFully(text);
                Files.write(file, text);
                answers.println(read(file.getParent()));
            }
        }
        answers.flush();
    }

    private static String read(Path directory) {
        Settings home = Settings.builder().put("path.home", directory.toString()).build();
        try {
            return "+" + InternalSettingsPreparer
                .prepareEnvironment(home, Collections.emptyMap(), directory, () -> "lab")
                .settings();
        } catch (Exception | StackOverflowError refused) {
            return "-" + refused.toString().replaceAll("\\s+", " ");
        }
    }
}
