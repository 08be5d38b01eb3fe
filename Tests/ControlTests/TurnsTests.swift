import Linux
import NIOCore
import NIOPosix
import Testing

@testable import Control

/// Requests are answered in turn, and leave room for what else lives on the loop.
@Suite struct TurnsTests {
    private static func work(milliseconds: UInt64) {
        let begin = Clock.now()
        while Clock.now() - begin < milliseconds * 1_000_000 {}
    }

    @Test func `Each has its turn, in the order of asking`() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let done = Locked<[Int]>([])
        let promise = loop.makePromise(of: Void.self)
        let turns = try loop.submit { NIOLoopBound(Turns(loop), eventLoop: loop) }.wait()
        try loop.submit {
            for number in 0..<100 {
                turns.value.take {
                    done.with { $0.append(number) }
                    // One that is set off by another comes after those that wait.
                    if number == 0 { turns.value.take { promise.succeed() } }
                }
            }
        }.wait()
        try promise.futureResult.wait()
        #expect(done.with { $0 }.first == 0)
        #expect(done.with { $0 } == Array(0..<done.with { $0 }.count))
        try group.syncShutdownGracefully()
    }

    @Test func `What takes long is followed by something else`() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let order = Locked<[String]>([])
        let promise = loop.makePromise(of: Void.self)
        let turns = try loop.submit { NIOLoopBound(Turns(loop), eventLoop: loop) }.wait()
        try loop.submit {
            for number in 0..<5 {
                turns.value.take {
                    TurnsTests.work(milliseconds: 20)
                    order.with { $0.append("\(number)") }
                    // What is to be done soon is done before the next one.
                    loop.scheduleTask(in: .milliseconds(1)) { order.with { $0.append("-") } }
                    if number == 4 { loop.scheduleTask(in: .milliseconds(50)) { promise.succeed() } }
                }
            }
        }.wait()
        try promise.futureResult.wait()
        #expect(order.with { $0 } == ["0", "-", "1", "-", "2", "-", "3", "-", "4", "-"])
        try group.syncShutdownGracefully()
    }
}
