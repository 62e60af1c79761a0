import Foundation
import XCTest

@testable import HeliogramPushCore

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// A service that answers what it is told to, one after the other, and the memory of a phone.
private final class World: Transport, OweFlag, @unchecked Sendable {
    private let lock = NSLock()
    private var answers: [Int?]
    private var owed = false
    private var log: [String] = []
    private var slept: [TimeInterval] = []

    init(_ answers: [Int?]) { self.answers = answers }

    private func locked<T>(_ work: () -> T) -> T {
        lock.lock()
        defer { lock.unlock() }
        return work()
    }

    var isSet: Bool { locked { owed } }
    func set(_ owed: Bool) { locked { self.owed = owed } }
    var requests: [String] { locked { log } }
    var naps: [TimeInterval] { locked { slept } }
    func nap(_ seconds: TimeInterval) { locked { slept.append(seconds) } }

    func send(_ request: URLRequest) async throws -> (status: Int, body: Data, retryAfter: String?) {
        let status: Int? = locked {
            log.append("\(request.httpMethod!) \(request.value(forHTTPHeaderField: "Authorization")!)")
            return answers.isEmpty ? 202 : answers.removeFirst()
        }
        guard let status else { throw URLError(.notConnectedToInternet) }
        return (status, Data(#"{"resourceId": "r1", "resourceLocation": "x"}"#.utf8), status == 429 ? "40" : nil)
    }
}

final class RegistrarTests: XCTestCase {
    private func registrar(_ world: World, asked: XCTestExpectation? = nil, signOutSeconds: TimeInterval = 1e6) -> Registrar {
        let count = Counter()
        return Registrar(
            api: RegistrationAPI(service: URL(string: "https://push.example.com")!),
            app: { AppDescription(appName: "shop") },
            tokens: { "hgr_\(await count.next())" },
            transport: world, flag: world,
            policy: RetryPolicy(delays: [5, 30], jitter: 0.2, longest: 3600),
            sleep: { seconds in
                if seconds < 1e6 { world.nap(seconds) } else { try await Task.sleep(nanoseconds: 3_600_000_000_000) }
            },
            random: { 0 },
            signOutSeconds: signOutSeconds,
            askSystem: { asked?.fulfill() })
    }

    private func until(_ isSo: () async -> Bool) async {
        for _ in 0..<100_000 where !(await isSo()) { await Task.yield() }
    }

    func testALaunch() async {
        let world = World([])
        let asked = expectation(description: "asked the system")
        let registrar = registrar(world, asked: asked)
        await registrar.start()
        await fulfillment(of: [asked], timeout: 60)
        XCTAssertTrue(world.isSet)
        await registrar.received(Data([1, 2]))
        XCTAssertEqual(world.requests, ["POST Bearer hgr_1"])
        XCTAssertFalse(world.isSet)
        let phase = await registrar.phase
        XCTAssertEqual(phase, .registered)
    }

    func testItTriesAgainLaterAndLater() async {
        let world = World([nil, 503, 429, 202])
        let registrar = registrar(world)
        await registrar.start()
        await registrar.received(Data([1, 2]))
        await until { await registrar.phase == .registered }
        XCTAssertEqual(world.naps, [5, 30, 40])
        XCTAssertEqual(world.requests.count, 4)
        XCTAssertFalse(world.isSet)
    }

    func testAFreshRegistrationTokenIsTriedAtOnce() async {
        let world = World([401, 202])
        let registrar = registrar(world)
        await registrar.start()
        await registrar.received(Data([1, 2]))
        XCTAssertEqual(world.requests, ["POST Bearer hgr_1", "POST Bearer hgr_2"])
        XCTAssertEqual(world.naps, [])
    }

    func testWhatIsRefusedStaysOwed() async {
        let world = World([409])
        let registrar = registrar(world)
        await registrar.start()
        await registrar.received(Data([1, 2]))
        XCTAssertTrue(registrar.needsForwarding)
        XCTAssertEqual(world.requests.count, 1)
    }

    func testSigningOut() async {
        let world = World([])
        let registrar = registrar(world)
        await registrar.start()
        await registrar.received(Data([1, 2]))
        let done = await registrar.signOut()
        XCTAssertTrue(done)
        XCTAssertEqual(world.requests, ["POST Bearer hgr_1", "DELETE Bearer hgr_2"])
        XCTAssertFalse(world.isSet)
    }

    func testSigningOutLearnsTheRegistrationFirstWhenItHasNone() async {
        let world = World([409])
        let registrar = registrar(world)
        await registrar.start()
        await registrar.received(Data([1, 2]))
        let done = await registrar.signOut()
        XCTAssertTrue(done)
        XCTAssertEqual(world.requests, ["POST Bearer hgr_1", "POST Bearer hgr_2", "DELETE Bearer hgr_3"])
    }

    func testSigningOutWithoutANetworkEnds() async {
        let world = World([])
        let registrar = registrar(world, signOutSeconds: 20)  // this sleep is over at once
        await registrar.start()
        let done = await registrar.signOut()  // the system never gives a token
        XCTAssertFalse(done)
        XCTAssertEqual(world.requests, [])
    }

    func testTheDefaultsHoldTheFlagAlone() throws {
        let name = "heliogram-tests-\(UUID().uuidString)"
        let defaults = try XCTUnwrap(UserDefaults(suiteName: name))
        let flag = DefaultsFlag(defaults)
        XCTAssertFalse(flag.isSet)
        flag.set(true)
        XCTAssertTrue(DefaultsFlag(defaults).isSet)
        flag.set(false)
        XCTAssertFalse(flag.isSet)
        defaults.removePersistentDomain(forName: name)
    }
}

private actor Counter {
    private var count = 0
    func next() -> Int {
        count += 1
        return count
    }
}
