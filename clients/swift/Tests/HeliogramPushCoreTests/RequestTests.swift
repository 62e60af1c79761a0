import Foundation
import XCTest

@testable import HeliogramPushCore

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// The requests are those of the fixtures, which a test of the service posts to it, too.
final class RequestTests: XCTestCase {
    static func fixture(_ name: String) throws -> [String: Any] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")
        let data = try Data(contentsOf: folder.appendingPathComponent(name + ".json"))
        return try XCTUnwrap(JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    static func token(_ hex: String) -> DeviceToken {
        let digits = Array(hex)
        return DeviceToken(Data(stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...$0 + 1]), radix: 16)! }))
    }

    private func check(_ request: URLRequest, is expected: [String: Any], line: UInt = #line) throws {
        XCTAssertEqual(request.httpMethod, expected["method"] as? String, line: line)
        XCTAssertEqual(request.url?.absoluteString, expected["url"] as? String, line: line)
        XCTAssertEqual(request.allHTTPHeaderFields, expected["headers"] as? [String: String], line: line)
        let body = try request.httpBody.map { try JSONSerialization.jsonObject(with: $0) as? NSDictionary } ?? nil
        XCTAssertEqual(body, expected["body"] as? NSDictionary, line: line)
    }

    func testRegistering() throws {
        for name in ["register", "register-least"] {
            let fixture = try Self.fixture(name)
            let given = try XCTUnwrap(fixture["given"] as? [String: Any])
            let said = try XCTUnwrap(given["app"] as? [String: String])
            let app = AppDescription(
                appName: try XCTUnwrap(said["appName"]),
                environment: said["environment"].flatMap(PushEnvironment.init(rawValue:)),
                installationId: said["installationId"], appVersion: said["appVersion"], locale: said["locale"],
                timeZone: said["timeZone"])
            let api = RegistrationAPI(service: try XCTUnwrap(URL(string: given["service"] as! String)))
            let request = try api.register(
                Self.token(given["token"] as! String), app, registrationToken: given["registrationToken"] as! String)
            try check(request, is: try XCTUnwrap(fixture["request"] as? [String: Any]))
        }
    }

    func testRemoving() throws {
        let fixture = try Self.fixture("remove")
        let given = try XCTUnwrap(fixture["given"] as? [String: String])
        let api = RegistrationAPI(service: try XCTUnwrap(URL(string: given["service"]!)))
        let request = api.remove(
            Self.token(given["token"]!), registration: given["registration"]!,
            registrationToken: given["registrationToken"]!)
        try check(request, is: try XCTUnwrap(fixture["request"] as? [String: Any]))
    }

    func testAnswersAreRead() throws {
        let answers = try Self.fixture("answers")
        let registered = try JSONSerialization.data(withJSONObject: answers["registered"]!)
        let conflict = try JSONSerialization.data(withJSONObject: answers["conflict"]!)
        XCTAssertEqual(
            Answer(status: 202, body: registered, retryAfter: nil),
            .done(registration: "comms_device_registration_01h9krwprkeee8fzqspvwy6nq8"))
        guard case .refused(409, 70061, let detail?) = Answer(status: 409, body: conflict, retryAfter: nil) else {
            return XCTFail("not refused")
        }
        XCTAssertTrue(detail.contains("another app"))
    }

    func testWhatAStatusMeans() {
        let nothing = Data()
        XCTAssertEqual(Answer(status: 401, body: nothing, retryAfter: nil), .unauthorised)
        for status in [408, 429, 500, 502, 503, 504] {
            XCTAssertEqual(Answer(status: status, body: nothing, retryAfter: nil), .later(after: nil))
        }
        XCTAssertEqual(Answer(status: 429, body: nothing, retryAfter: "17"), .later(after: 17))
        for wrong in ["soon", "-1", ""] {
            XCTAssertEqual(Answer(status: 503, body: nothing, retryAfter: wrong), .later(after: nil))
        }
        for status in [400, 403, 404, 409, 413, 415] {
            XCTAssertEqual(
                Answer(status: status, body: Data("<html>".utf8), retryAfter: nil),
                .refused(status: status, code: nil, detail: nil))
        }
    }
}

final class DeviceTokenTests: XCTestCase {
    func testEveryByteHasTwoLowerCaseDigits() {
        let all = Data((0...255).map { UInt8($0) })
        XCTAssertEqual(DeviceToken(all).hex, all.map { String(format: "%02x", $0) }.joined())
        XCTAssertEqual(DeviceToken(Data([0x00, 0x0f, 0xf0])).hex, "000ff0")
    }

    func testAnyLengthIsTaken() {
        XCTAssertEqual(DeviceToken(Data()).hex, "")
        XCTAssertEqual(DeviceToken(Data(count: 100)).hex.count, 200)
    }

    func testItDoesNotPrintItself() {
        let token = DeviceToken(Data([0xab, 0xcd]))
        XCTAssertEqual("\(token)", "DeviceToken(2 bytes)")
        XCTAssertEqual(String(reflecting: token), "DeviceToken(2 bytes)")
    }
}

final class RetryPolicyTests: XCTestCase {
    func testDelaysGrowAndStay() {
        let policy = RetryPolicy(delays: [5, 30, 120], jitter: 0, longest: 1000)
        XCTAssertEqual((1...5).map { policy.delay(afterFailures: $0, random: 1) }, [5, 30, 120, 120, 120])
    }

    func testChanceMakesThemLongerWithinBounds() {
        let policy = RetryPolicy(delays: [100], jitter: 0.2, longest: 110)
        XCTAssertEqual(policy.delay(afterFailures: 1, random: 0), 100)
        XCTAssertEqual(policy.delay(afterFailures: 1, random: 0.25), 105, accuracy: 0.001)
        XCTAssertEqual(policy.delay(afterFailures: 1, random: 1), 110, accuracy: 0.001)
    }

    func testTheServicesWishCountsUpToTheLongest() {
        let policy = RetryPolicy(delays: [5], jitter: 0, longest: 600)
        XCTAssertEqual(policy.delay(afterFailures: 1, asked: 60, random: 0), 60)
        XCTAssertEqual(policy.delay(afterFailures: 1, asked: 1, random: 0), 5)
        XCTAssertEqual(policy.delay(afterFailures: 1, asked: 1e12, random: 0), 600)
    }
}

final class InstallationTests: XCTestCase {
    func testTheIdIsMadeOnceAndKept() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("id")
        let id = try XCTUnwrap(InstallationID(file: file).value())
        XCTAssertNotNil(UUID(uuidString: id))
        XCTAssertEqual(InstallationID(file: file).value(), id)
        try Data("nonsense".utf8).write(to: file)
        XCTAssertNotEqual(InstallationID(file: file).value(), "nonsense")
    }

    func testWithoutAPlaceThereIsNone() {
        XCTAssertNil(InstallationID(file: URL(fileURLWithPath: "/dev/null/id")).value())
    }

    func testTheProfileSaysTheEnvironment() {
        func profile(_ key: String, _ value: String) -> Data {
            let list = """
                <?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>Entitlements</key><dict>\
                <key>\(key)</key><string>\(value)</string></dict></dict></plist>
                """
            return Data([0x30, 0x82, 0xff]) + Data(list.utf8) + Data([0x00, 0xff])
        }
        XCTAssertEqual(PushEnvironment(provisioningProfile: profile("aps-environment", "development")), .sandbox)
        XCTAssertEqual(PushEnvironment(provisioningProfile: profile("aps-environment", "production")), .production)
        XCTAssertEqual(
            PushEnvironment(provisioningProfile: profile("com.apple.developer.aps-environment", "development")), .sandbox)
        XCTAssertNil(PushEnvironment(provisioningProfile: profile("other", "development")))
        XCTAssertNil(PushEnvironment(provisioningProfile: Data("nonsense".utf8)))
    }
}
