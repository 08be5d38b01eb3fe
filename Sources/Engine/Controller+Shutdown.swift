import CLayout
import Configuration
import Control
import Forwarding
import Linux
import Logging
import NIOCore

/// The orderly end of the daemon.
extension Controller {
    /// How long connections that were told to close may take, in ns.
    private static let closingGrace: UInt64 = 1_000_000_000
    private static let poll = TimeAmount.milliseconds(10)

    /// A signal came, on the control event loop.
    func signalled(_ number: Int32) {
        switch number {
        case Signals.hangUp:
            reloadOnSignal()
        case Signals.userTwo: upgradeBySignal()
        case Signals.interrupt where !isServing:
            log.notice("interrupted again: ending at once")
            end()
        default:
            beginShutdown(drain: request.configuration.shutdownDrain, by: nil)
        }
    }

    /// Stops accepting, waits up to `drain` for connections to end by themselves, closes the rest and ends the process.
    /// Called again, it can only shorten the wait.
    func beginShutdown(drain: Duration, by caller: Caller?) {
        let until = Clock.now() + drain.nanoseconds
        switch phase {
        case .serving:
            log.notice(
                "shutting down",
                metadata: ["connections": "\(region.open)", "drain_seconds": "\(drain.components.seconds)"])
            events.post(
                ControlEvent(
                    .shutdown, new: "begun", cause: "\(seconds(drain)) to drain", count: region.open, uid: caller?.uid))
            stopListening(until: until)
        case .draining(let earlier):
            phase = .draining(until: min(earlier, until))
            noteShutdown(min(earlier, until))
        case .closing, .ended:
            break
        }
    }

    /// Goes on with an end that an engine before had begun and not come to.
    func resumeShutdown() {
        let until = limpet_load64(&region.continuity.pointee.shutdown_deadline)
        if until == 0 { return }
        log.notice("going on with the shutdown", metadata: ["connections": "\(region.open)"])
        stopListening(until: until)
    }

    private func stopListening(until: UInt64) {
        // First of all: whoever takes over after a death finds listeners closed, and must know why.
        noteShutdown(until)
        workers.postToAll(.stopListening)
        phase = .draining(until: until)
        advanceShutdown()
    }

    private func noteShutdown(_ until: UInt64) {
        limpet_publish64(&region.continuity.pointee.shutdown_deadline, max(1, until))
    }

    private func advanceShutdown() {
        let now = Clock.now()
        let open = region.open
        switch phase {
        case .serving, .ended:
            return
        case .draining(let until):
            if open == 0 && workers.haveStoppedListening {
                end()
                return
            }
            if now >= until {
                log.notice("closing connections", metadata: ["connections": "\(open)"])
                workers.postToAll(.closeAll(.orderly, .shutdown))
                phase = .closing(until: now + Controller.closingGrace)
            }
        case .closing(let until):
            if open == 0 || now >= until {
                end()
                return
            }
        }
        eventLoop.scheduleTask(in: Controller.poll) { [self] in advanceShutdown() }
    }

    private func end() {
        if case .ended = phase { return }
        phase = .ended
        finished()
    }
}
