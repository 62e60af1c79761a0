import Foundation
import XCTest

@testable import HeliogramPushCore

/// The flow without time or network: what is to be done because of what happened.
final class MachineTests: XCTestCase {
    private let token = DeviceToken(Data([1, 2, 3]))
    private let other = DeviceToken(Data([4, 5, 6]))
    private let done = Answer.done(registration: "r1")

    private func registered() -> Machine {
        var machine = Machine()
        _ = machine.handle(.start)
        _ = machine.handle(.token(token))
        _ = machine.handle(.answered(token, done))
        return machine
    }

    func testALaunchAsksTheSystemAndForwardsWhatItGives() {
        var machine = Machine()
        XCTAssertEqual(machine.handle(.start), [.owe(true), .askSystem])
        XCTAssertEqual(machine.handle(.token(token)), [.owe(true), .forward(token)])
        XCTAssertEqual(machine.handle(.answered(token, done)), [.owe(false)])
        XCTAssertEqual(machine.phase, .registered)
    }

    func testTheNextLaunchForwardsTheSameTokenAgain() {
        var machine = registered()
        XCTAssertEqual(machine.handle(.start), [.owe(true), .askSystem])
        XCTAssertEqual(machine.handle(.token(token)), [.owe(true), .forward(token)])
    }

    func testATokenThatComesUnaskedIsForwarded() {
        var machine = registered()
        XCTAssertEqual(machine.handle(.token(other)), [.owe(true), .forward(other)])
    }

    func testATokenBeforeAnybodyIsSignedInIsNot() {
        var machine = Machine()
        XCTAssertEqual(machine.handle(.token(token)), [])
        XCTAssertEqual(machine.phase, .idle)
    }

    func testAnAnswerToAnOlderTokenSaysNothingOfTheNewOne() {
        var machine = Machine()
        _ = machine.handle(.start)
        _ = machine.handle(.token(token))
        _ = machine.handle(.token(other))
        XCTAssertEqual(machine.handle(.answered(token, done)), [])
        XCTAssertEqual(machine.handle(.answered(other, .later(after: nil))), [.retry(failures: 1, asked: nil)])
    }

    func testFailuresAreCountedUntilItWorks() {
        var machine = Machine()
        _ = machine.handle(.start)
        _ = machine.handle(.token(token))
        XCTAssertEqual(machine.handle(.answered(token, .later(after: 7))), [.retry(failures: 1, asked: 7)])
        XCTAssertEqual(machine.handle(.retryDue), [.forward(token)])
        XCTAssertEqual(machine.handle(.answered(token, .later(after: nil))), [.retry(failures: 2, asked: nil)])
        XCTAssertEqual(machine.phase, .waiting(failures: 2))
        XCTAssertEqual(machine.handle(.wake), [.forward(token)])
        XCTAssertEqual(machine.handle(.answered(token, done)), [.owe(false)])
        XCTAssertEqual(machine.handle(.retryDue), [])
    }

    func testARefusedRegistrationTokenIsFetchedAnewOnce() {
        var machine = Machine()
        _ = machine.handle(.start)
        _ = machine.handle(.token(token))
        XCTAssertEqual(machine.handle(.answered(token, .unauthorised)), [.forward(token)])
        XCTAssertEqual(machine.handle(.answered(token, .unauthorised)), [.retry(failures: 1, asked: nil)])
        XCTAssertEqual(machine.handle(.retryDue), [.forward(token)])
        XCTAssertEqual(machine.handle(.answered(token, .unauthorised)), [.forward(token)])
    }

    func testWhatIsRefusedIsNotTriedAgainInThisLaunch() {
        var machine = Machine()
        _ = machine.handle(.start)
        _ = machine.handle(.token(token))
        XCTAssertEqual(machine.handle(.answered(token, .refused(status: 404, code: 70000, detail: "no app"))), [])
        XCTAssertEqual(machine.phase, .failed(.service(status: 404, code: 70000, detail: "no app")))
        XCTAssertEqual(machine.handle(.wake), [])
        XCTAssertEqual(machine.handle(.start), [.owe(true), .askSystem])
    }

    func testAFailureOfTheSystemIsKeptInMindAndTriedOnWaking() {
        var machine = Machine()
        _ = machine.handle(.start)
        XCTAssertEqual(machine.handle(.systemFailed("no entitlement")), [.owe(true)])
        XCTAssertEqual(machine.phase, .failed(.system("no entitlement")))
        XCTAssertEqual(machine.handle(.wake), [.askSystem])
    }

    func testSigningOutTakesTheDeviceOut() {
        var machine = registered()
        XCTAssertEqual(machine.handle(.signOut), [.owe(false), .remove(token, registration: "r1")])
        XCTAssertEqual(machine.handle(.signOut), [])
        XCTAssertEqual(machine.handle(.removed(.done(registration: nil))), [.signedOut(true)])
        XCTAssertEqual(machine.phase, .idle)
        XCTAssertEqual(machine.handle(.token(token)), [])
    }

    func testGoneAlreadyIsGoneAndAnythingElseIsTold() {
        for (answer, done) in [
            (Answer.refused(status: 404, code: nil, detail: nil), true),
            (.refused(status: 403, code: nil, detail: nil), false), (.later(after: nil), false), (.unauthorised, false),
        ] {
            var machine = registered()
            _ = machine.handle(.signOut)
            XCTAssertEqual(machine.handle(.removed(answer)), [.signedOut(done)])
        }
    }

    func testSigningOutWithoutATokenAsksForIt() {
        var machine = Machine()
        _ = machine.handle(.start)
        XCTAssertEqual(machine.handle(.signOut), [.owe(false), .askSystem])
        XCTAssertEqual(machine.handle(.token(token)), [.remove(token, registration: nil)])

        machine = Machine()
        _ = machine.handle(.start)
        _ = machine.handle(.signOut)
        XCTAssertEqual(machine.handle(.systemFailed("no network")), [.signedOut(false)])

        machine = Machine()
        _ = machine.handle(.start)
        _ = machine.handle(.signOut)
        XCTAssertEqual(machine.handle(.signOutExpired), [.signedOut(false)])
        XCTAssertEqual(machine.phase, .idle)
    }

    func testSigningOutWaitsForARequestThatIsUnderWay() {
        var machine = Machine()
        _ = machine.handle(.start)
        _ = machine.handle(.token(token))
        XCTAssertEqual(machine.handle(.signOut), [.owe(false)])
        XCTAssertEqual(machine.handle(.answered(token, done)), [.remove(token, registration: "r1")])
    }

    func testSigningOutEndsWaiting() {
        var machine = Machine()
        _ = machine.handle(.start)
        _ = machine.handle(.token(token))
        _ = machine.handle(.answered(token, .later(after: nil)))
        XCTAssertEqual(machine.handle(.signOut), [.owe(false), .remove(token, registration: nil)])
        XCTAssertEqual(machine.handle(.retryDue), [])
    }

    func testWhoeverSignsInMeanwhileIsRegisteredAfterwards() {
        var machine = registered()
        _ = machine.handle(.signOut)
        XCTAssertEqual(machine.handle(.start), [])
        XCTAssertEqual(machine.handle(.removed(.done(registration: nil))), [.signedOut(true), .owe(true), .askSystem])
        XCTAssertEqual(machine.handle(.token(token)), [.owe(true), .forward(token)])
    }

    func testNobodySignedInIsSignedOut() {
        var machine = Machine()
        XCTAssertEqual(machine.handle(.signOut), [.owe(false), .signedOut(true)])
        XCTAssertEqual(machine.handle(.signOutExpired), [])
        XCTAssertEqual(machine.handle(.wake), [])
    }
}
