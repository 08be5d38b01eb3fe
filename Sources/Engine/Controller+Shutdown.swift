import Backends
import CContinuity
import CLayout
import Configuration
import Continuity
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
        case Int32(LIMPET_LOOK_ANSWERED): lookedAt()
        case Signals.interrupt where !isServing:
            log.notice("interrupted again: ending at once")
            end()
        default:
            beginShutdown(drain: request.configuration.shutdownDrain, by: nil)
        }
    }

    /// Sheds connections over the time that they have.
    struct Departure {
        var shedder: Shedder
        var attempts = Attempts()
        var nextStep: UInt64 = 0
    }

    /// Between two steps of it, in ns.
    private static let departureStep: UInt64 = 100_000_000

    /// From now on it is not ready; accepts on for `shutdown-delay`, so that whoever sends clients here has time to learn of
    /// it; then stops accepting, closes connections at a pace over `drain`, each at a quiet moment where one comes, closes the
    /// rest and ends the process. Called again, it can only shorten the time.
    func beginShutdown(drain: Duration, by caller: Caller?) {
        let now = Clock.now()
        let delay = request.configuration.shutdownDelay
        switch phase {
        case .serving:
            log.notice(
                "shutting down",
                metadata: [
                    "connections": "\(region.open)", "delay_seconds": "\(delay.components.seconds)",
                    "drain_seconds": "\(drain.components.seconds)",
                ])
            events.post(
                ControlEvent(
                    .shutdown, new: "begun", cause: "\(seconds(delay)) of delay, \(seconds(drain)) to drain",
                    count: region.open, uid: caller?.uid))
            let stop = now + delay.nanoseconds
            begin(stop: stop, until: stop + drain.nanoseconds)
        case .leaving(let stop, let until):
            phase = .leaving(stop: stop, until: min(until, stop + drain.nanoseconds))
            noteShutdown(min(until, stop + drain.nanoseconds))
        case .draining(let earlier):
            let until = min(earlier, now + drain.nanoseconds)
            phase = .draining(until: until)
            noteShutdown(until)
            // It has to be over sooner: the pace is another.
            if until < earlier { departure = nil }
        case .closing, .ended:
            break
        }
    }

    /// Goes on with an end that an engine before had begun and not come to.
    func resumeShutdown() {
        let until = limpet_load64(&region.continuity.pointee.shutdown_deadline)
        if until == 0 { return }
        log.notice("going on with the shutdown", metadata: ["connections": "\(region.open)"])
        begin(stop: limpet_load64(&region.continuity.pointee.shutdown_stop), until: until)
    }

    private func begin(stop: UInt64, until: UInt64) {
        // First of all: whoever takes over after a death finds listeners closed, and must know why.
        limpet_publish64(&region.continuity.pointee.shutdown_stop, stop)
        noteShutdown(until)
        phase = .leaving(stop: stop, until: until)
        serviceState.stopping()
        noteService()
        advanceShutdown()
    }

    private func noteShutdown(_ until: UInt64) {
        limpet_publish64(&region.continuity.pointee.shutdown_deadline, max(1, until))
    }

    /// Closes those whose turn it is. The last one's is at the end of the time.
    private func depart(_ now: UInt64, until: UInt64) {
        guard now >= departure?.nextStep ?? 0 else { return }
        if departure?.shedder.left ?? 0 == 0 {
            let candidates = candidates { _ in true }
            let seconds = Double(until - min(until, now)) / 1e9
            departure = Departure(
                shedder: Shedder(
                    candidates, order: .random, rate: Double(max(1, candidates.count)) / max(0.1, seconds), atOnce: 0,
                    now: now), attempts: departure?.attempts ?? Attempts())
        }
        guard var current = departure else { return }
        // With nobody left there are those that are being closed: whoever came in late is looked for now and then.
        current.nextStep = now + Controller.departureStep * (current.shedder.left > 0 ? 1 : 10)
        postQuietly(due(&current.shedder) { _ in true }, .shutdown) { current.attempts.insists($0, now) }
        departure = current
    }

    private func advanceShutdown() {
        let now = Clock.now()
        let open = region.open
        switch phase {
        case .serving, .ended:
            return
        case .leaving(let stop, let until):
            if now >= stop {
                workers.postToAll(.stopListening)
                phase = .draining(until: until)
                return advanceShutdown()
            }
        case .draining(let until):
            if open == 0 && workers.haveStoppedListening {
                end()
                return
            }
            if now >= until {
                log.notice("closing connections", metadata: ["connections": "\(open)"])
                workers.postToAll(.closeAll(.orderly, .shutdown))
                phase = .closing(until: now + Controller.closingGrace)
            } else {
                depart(now, until: until)
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
