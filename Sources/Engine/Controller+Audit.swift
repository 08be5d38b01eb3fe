import Control
import Linux
import Logging
import NIOCore

/// Who has asked for what over the control socket, and who was not let.
extension Controller {
    /// A burst of refusals that is told of one by one; then one in each ``Refusals/interval``.
    struct Refusals {
        static let burst = 20
        /// Nanoseconds.
        static let interval: UInt64 = 1_000_000_000

        private var left = burst
        private var time: UInt64 = 0
        /// Not told of since the last one that was.
        private(set) var untold = 0

        /// Whether this one is told of.
        mutating func admit(now: UInt64) -> Bool {
            let earned = (now - min(now, time)) / Refusals.interval
            if earned > 0 {
                left = min(Refusals.burst, left + Int(clamping: earned))
                time = now
            }
            guard left > 0 else {
                untold += 1
                return false
            }
            left -= 1
            return true
        }

        /// Forgets those that have not been told of, and says how many they were.
        mutating func takeUntold() -> Int {
            defer { untold = 0 }
            return untold
        }
    }

    func audit(_ command: String, _ caller: Caller) {
        log.notice(
            "control: \(command)",
            metadata: ["uid": "\(caller.uid)", "pid": "\(caller.pid)"])
    }

    func noteRefused(_ attempt: ControlAttempt, _ error: ControlError) {
        let isFirst = refusals.untold == 0
        guard refusals.admit(now: Clock.now()) else {
            if isFirst { tellOfRefusals(in: .seconds(10)) }
            return
        }
        let isForbidden = error.code == .permission
        log.log(
            level: isForbidden ? .warning : .notice, "control refused: \(attempt.command): \(error)",
            metadata: ["uid": "\(attempt.caller.uid)", "pid": "\(attempt.caller.pid)"])
        guard isForbidden else { return }
        events.post(
            ControlEvent(.refused, cause: "\(attempt.command): \(error.message)", uid: attempt.caller.uid))
    }

    private func tellOfRefusals(in time: TimeAmount) {
        eventLoop.scheduleTask(in: time) { [self] in
            log.warning("control refused: \(refusals.takeUntold()) more requests, in 10 seconds")
        }
    }

    // MARK: Who may

    func accessPolicy(_ socket: ControlSocket) -> AccessPolicy {
        (active.controlGroups ?? ControlGroups()).policy(user: Account.effectiveUID, socket)
    }

    /// Lets in whom the active configuration names, and nobody else.
    func followGroups() {
        guard let (server, socket) = control else { return }
        admitGroups(at: socket)
        server.policy = accessPolicy(socket)
    }

    /// Also at the start of an engine: the one before may have died just then.
    func admitGroups(at socket: ControlSocket) {
        do throws(StartError) {
            _ = try (active.controlGroups ?? ControlGroups()).admit(at: socket, user: Account.effectiveUID)
        } catch {
            log.error("\(error)")
        }
    }
}
