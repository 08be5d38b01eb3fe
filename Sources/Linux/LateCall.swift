/// A call that is made before it is known what it is to do: until then it does nothing. Any thread may use it.
public final class LateCall: Sendable {
    /// A closure that is handed to generic code as a value by itself is wrapped anew each time that it is handed out and
    /// back: after some hundred thousand times the wraps go deeper than a thread's stack. In a structure it is left alone.
    private struct Body: Sendable {
        let run: @Sendable () -> Void
    }

    private let body = Locked<Body?>(nil)

    public init() {}

    public func set(_ run: @escaping @Sendable () -> Void) {
        body.with { $0 = Body(run: run) }
    }

    public func callAsFunction() {
        body.with { $0 }?.run()
    }
}
