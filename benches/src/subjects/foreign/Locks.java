import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryOneTime;
import org.apache.zookeeper.KeeperException;

/**
 * Locks of Curator at the servers args[0]. A line is a seat, what it does, the name, and how often, as
 * seat.py tells. Each seat has a session of args[1] milliseconds and a thread.
 */
public final class Locks {
    private final ExecutorService thread = Executors.newSingleThreadExecutor();
    private final Map<String, InterProcessMutex> locks = new HashMap<>();
    private final CuratorFramework client;
    private final String seat;

    private Locks(String servers, int timeout, String seat) {
        this.seat = seat;
        // As soon as it can be, after a connection was lost.
        client = CuratorFrameworkFactory.newClient(servers, timeout, timeout, new RetryOneTime(1));
        client.getConnectionStateListenable()
                .addListener((of, state) -> say(state + " " + System.nanoTime()));
        client.start();
    }

    private InterProcessMutex make(String name) throws Exception {
        String path = "/curator/" + name;
        try {
            client.create().creatingParentsIfNeeded().forPath(path);
        } catch (KeeperException.NodeExistsException e) {
            // As it should be.
        }
        return new InterProcessMutex(client, path);
    }

    private void obey(String[] words) throws Exception {
        String name = words[2];
        if (words[1].equals("again")) {
            say("went " + again(name));
            return;
        }
        InterProcessMutex lock = locks.get(name);
        if (lock == null) {
            lock = make(name);
            locks.put(name, lock);
        }
        switch (words[1]) {
            case "cycles":
                say("done" + cycles(lock, Integer.parseInt(words[3])));
                break;
            case "lock":
                say("asks " + System.nanoTime());
                lock.acquire();
                say("granted " + System.nanoTime());
                break;
            case "unlock":
                long letGo = System.nanoTime();
                lock.release();
                say("free " + letGo);
                break;
            default:
                throw new IllegalArgumentException(words[1]);
        }
    }

    private static String cycles(InterProcessMutex lock, int count) throws Exception {
        long[] stamps = new long[4 * count];
        for (int at = 0; at < stamps.length; at += 4) {
            stamps[at] = System.nanoTime();
            lock.acquire();
            stamps[at + 1] = System.nanoTime();
            stamps[at + 2] = System.nanoTime();
            lock.release();
            stamps[at + 3] = System.nanoTime();
        }
        StringBuilder text = new StringBuilder();
        for (long stamp : stamps) {
            text.append(' ').append(stamp);
        }
        return text.toString();
    }

    private long again(String name) throws InterruptedException {
        while (true) {
            try {
                InterProcessMutex lock = make(name);
                lock.acquire();
                lock.release();
                return System.nanoTime();
            } catch (Exception e) {
                System.err.println(e);
                Thread.sleep(1);
            }
        }
    }

    private void ask(String[] words) {
        thread.submit(() -> {
            try {
                obey(words);
            } catch (Exception e) {
                say("failed " + e.toString().replace('\n', ' '));
            }
        });
    }

    private void say(String words) {
        System.out.println("@leasehold-report " + seat + " " + words);
    }

    public static void main(String[] args) throws Exception {
        Map<String, Locks> seats = new ConcurrentHashMap<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("@leasehold-report ready");
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            int timeout = Integer.parseInt(args[1]);
            seats.computeIfAbsent(words[0], seat -> new Locks(args[0], timeout, seat)).ask(words);
        }
        System.exit(0);
    }
}
