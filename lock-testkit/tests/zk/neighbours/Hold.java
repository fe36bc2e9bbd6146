import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryOneTime;

/** Holds the lock at the path args[1] of the server args[0] until it hears a line. */
public final class Hold {
    public static void main(String[] args) throws Exception {
        RetryOneTime retry = new RetryOneTime(100);
        try (CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], retry)) {
            client.start();
            InterProcessMutex lock = new InterProcessMutex(client, args[1]);
            lock.acquire();
            System.out.println("@leasehold-report held");
            System.in.read();
            lock.release();
            System.out.println("@leasehold-report released");
        }
    }
}
