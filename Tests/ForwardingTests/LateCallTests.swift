import Linux
import Testing

/// How a worker tells the control loop that there is something to read, whenever that is there.
@Suite struct LateCallTests {
    @Test func nothingBeforeItIsSet() {
        let (call, count) = (LateCall(), Locked(0))
        call()
        #expect(count.with { $0 } == 0)
        call.set { count.with { $0 += 1 } }
        call()
        call()
        #expect(count.with { $0 } == 2)
    }

    /// However often it has been called before, it takes no more of the stack.
    @Test func theStackDoesNotGrow() {
        let (call, deepest) = (LateCall(), Locked(Int.max))
        call.set {
            var here = 0
            let place = withUnsafeMutablePointer(to: &here) { Int(bitPattern: $0) }
            deepest.with { $0 = min($0, place) }
        }
        call()
        let first = deepest.with { $0 }
        for _ in 0..<5_000 { call() }
        #expect(first - deepest.with { $0 } < 1024)
    }
}
