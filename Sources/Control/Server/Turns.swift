internal import Linux
internal import NIOCore

/// Lets the clients' requests be answered one after the other, so that none of them, and not all of them together, can hold
/// up what else lives on the control event loop: checks, clocks, the heartbeat that the keeper looks at. An answer that took
/// long to make is followed by a rest that is as long. Lives on that loop.
final class Turns {
    /// What is made faster than this is followed by the next at once.
    private static let short: UInt64 = 1_000_000
    /// The longest rest.
    private static let longest: UInt64 = 1_000_000_000

    private let eventLoop: any EventLoop
    private var waiting = CircularBuffer<() -> Void>()
    private var isResting = false

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Calls `body` when it is its turn: at once where nobody waits.
    func take(_ body: @escaping () -> Void) {
        waiting.append(body)
        goOn()
    }

    private func goOn() {
        while !isResting, let body = waiting.popFirst() {
            // What it sets off has to wait.
            isResting = true
            let begin = Clock.now()
            body()
            let time = Clock.now() - begin
            if time < Turns.short { isResting = false } else { rest(min(time, Turns.longest)) }
        }
    }

    private func rest(_ nanoseconds: UInt64) {
        let turns = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: .nanoseconds(Int64(nanoseconds))) {
            turns.value.isResting = false
            turns.value.goOn()
        }
    }
}
