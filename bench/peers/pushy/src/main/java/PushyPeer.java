import com.eatthepath.pushy.apns.ApnsClient;
import com.eatthepath.pushy.apns.ApnsClientBuilder;
import com.eatthepath.pushy.apns.DeliveryPriority;
import com.eatthepath.pushy.apns.PushType;
import com.eatthepath.pushy.apns.auth.ApnsSigningKey;
import com.eatthepath.pushy.apns.util.SimpleApnsPayloadBuilder;
import com.eatthepath.pushy.apns.util.SimpleApnsPushNotification;
import com.sun.management.OperatingSystemMXBean;
import java.io.File;
import java.lang.management.ManagementFactory;
import java.security.KeyPairGenerator;
import java.security.interfaces.ECPrivateKey;
import java.security.spec.ECGenParameterSpec;
import java.util.UUID;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * Pushy: {@code PushyPeer PORT CAFILE PUSHES [connections]}; prints CPU seconds and wall seconds.
 *
 * <p>One thread sends, a semaphore bounds what is under way, as Pushy's guide to best practices says. Pushy signs its
 * provider token itself, with a key made here. The virtual machine compiles for most of the first 200,000 pushes: with a warm-up of 50,000 the figure is three times as high.
 */
public final class PushyPeer {
    private static final int IN_FLIGHT = 900; // for each connection
    private static final int WARM_UP = 200_000;

    public static void main(String[] words) throws Exception {
        int count = Integer.parseInt(words[2]);
        int connections = words.length > 3 ? Integer.parseInt(words[3]) : 1;
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec("secp256r1"));
        ECPrivateKey key = (ECPrivateKey) generator.generateKeyPair().getPrivate();
        ApnsClient client = new ApnsClientBuilder()
                .setApnsServer("127.0.0.1", Integer.parseInt(words[0]))
                .setTrustedServerCertificateChain(new File(words[1]))
                .setSigningKey(new ApnsSigningKey("ABC123DEFG", "DEF123GHIJ", key))
                .setConcurrentConnections(connections)
                .build();
        int inFlight = IN_FLIGHT * connections;
        send(client, WARM_UP, inFlight);
        OperatingSystemMXBean process = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long used = process.getProcessCpuTime();
        long begin = System.nanoTime();
        send(client, count, inFlight);
        System.out.println((process.getProcessCpuTime() - used) / 1e9 + " " + (System.nanoTime() - begin) / 1e9);
        client.close().get(10, TimeUnit.SECONDS);
        System.exit(0);
    }

    private static void send(ApnsClient client, int count, int inFlight) throws InterruptedException {
        Semaphore places = new Semaphore(inFlight);
        for (int number = 0; number < count; number++) {
            places.acquire();
            client.sendNotification(notification(number)).whenComplete((answer, cause) -> {
                if (cause != null || !answer.isAccepted()) {
                    System.err.println("push failed: " + (cause != null ? cause : answer));
                    Runtime.getRuntime().halt(1);
                }
                places.release();
            });
        }
        places.acquire(inFlight);
    }

    private static SimpleApnsPushNotification notification(int number) {
        String payload = new SimpleApnsPayloadBuilder()
                .setAlertTitle("On its way")
                .setAlertBody("Your order " + number + " has left our warehouse and will be with you tomorrow.")
                .setBadgeNumber(number % 100)
                .addCustomProperty("order", number)
                .build();
        return new SimpleApnsPushNotification(
                String.format("%064x", number),
                "com.example.app",
                payload,
                null,
                DeliveryPriority.IMMEDIATE,
                PushType.ALERT,
                null,
                new UUID(0x27cfdc15_e305_27e0L, 0xe290_0000_0000_0000L | number));
    }
}
