import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryOneTime;

/**
 * Locks of Curator at the server args[0]. A line is a contender, what it does, and the path: "a lock
 * /x", "a try /x", "a unlock". Each contender has a session of args[1] milliseconds and a thread.
 */
public final class Neighbour {
    private final ExecutorService thread = Executors.newSingleThreadExecutor();
    private final CuratorFramework client;
    private InterProcessMutex lock;

    private Neighbour(String server, int timeout) {
        client = CuratorFrameworkFactory.newClient(server, timeout, timeout, new RetryOneTime(100));
        client.start();
    }

    private String answer(String[] words) throws Exception {
        switch (words[1]) {
            case "lock":
                lock = new InterProcessMutex(client, words[2]);
                lock.acquire();
                return "holds";
            case "try":
                lock = new InterProcessMutex(client, words[2]);
                return lock.acquire(0, TimeUnit.MILLISECONDS) ? "holds" : "busy";
            case "unlock":
                lock.release();
                return "released";
            default:
                throw new IllegalArgumentException(words[1]);
        }
    }

    private void ask(String[] words) {
        thread.submit(() -> {
            String answer;
            try {
                answer = answer(words);
            } catch (Exception e) {
                answer = "failed: " + e;
            }
            System.out.println("@leasehold-report " + words[0] + " " + answer);
        });
    }

    public static void main(String[] args) throws Exception {
        Map<String, Neighbour> neighbours = new HashMap<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("@leasehold-report ready");
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            int timeout = Integer.parseInt(args[1]);
            neighbours.computeIfAbsent(words[0], who -> new Neighbour(args[0], timeout)).ask(words);
        }
        System.exit(0);
    }
}
