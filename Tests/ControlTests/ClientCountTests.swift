import Addressing
import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import Control

/// The status page's clients.
@Suite struct ClientCountTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    /// Opens a page, and says what it is told of the clients at first.
    private static func open(_ board: StatusBoard) -> (page: Int, clients: String?) {
        var told: String?
        let page = board.open { message in
            guard let message, told == nil else { return }
            told = String(buffer: message).firstMatch(of: /"clients":(\[[^\]]*\])/).map { String($0.1) }
        }
        return (page, told)
    }

    /// Connections of clients, one after the other.
    private static func rows(_ clients: [UInt32]) -> FakePlane.State {
        var state = FakePlane.State()
        state.rows = clients.enumerated().map { number, client in
            FakePlane.row(
                UInt64(number), service: "chat", backend: "ws1",
                client: "\(Endpoint(address: IPAddress(v4: client), port: 4000))", age: 1, idle: 0)
        }
        return state
    }

    private func count(_ clients: [UInt32], limit: Int) -> ClientCount {
        let count = ClientCount(FakePlane(Self.rows(clients)).connections(), limit: limit)
        while count.step() {}
        return count
    }

    @Test func thoseWithMostComeFirst() {
        // 60 clients with 1 to 12 connections, five of each number.
        let clients = (0..<60).flatMap { client in (0..<client % 12 + 1).map { _ in UInt32(0x0a00_0000 + client) } }
        let most = count(clients.shuffled(), limit: 1000).most(20)
        let expected = (0..<60).map { (client: "10.0.0.\($0)", connections: $0 % 12 + 1, number: $0) }
            .sorted { ($1.connections, $0.number) < ($0.connections, $1.number) }.prefix(20)
        #expect(most.map(\.client) == expected.map(\.client))
        #expect(most.map(\.connections) == expected.map(\.connections))
        #expect(count([1, 2, 2], limit: 1000).most(20).map(\.connections) == [2, 1])
        #expect(count([], limit: 1000).most(20).isEmpty)
    }

    @Test func moreClientsThanAreToldApartAreLeftOut() {
        let clients: [UInt32] = [1, 2, 3, 3, 3, 2, 1, 2]
        #expect(count(clients, limit: 2).most(20).map(\.client) == ["0.0.0.2", "0.0.0.1"])
        #expect(count(clients, limit: 2).most(1).map(\.connections) == [3])
    }

    @Test func aCountThatNobodyWaitsForIsThrownAway() throws {
        let plane = FakePlane(FakePlane.many(1000))
        let (loop, board) = try board(plane)
        let first = try loop.submit {
            let (page, clients) = Self.open(board.value)
            board.value.close(page)
            return clients
        }.wait()
        #expect(first == "[]")
        for _ in 0..<10 { try loop.submit {}.wait() }
        #expect(plane.with { $0.slotsSeen } < 1000)
        #expect(try loop.submit { Self.open(board.value).clients }.wait() == "[]")
        for _ in 0..<10 { try loop.submit {}.wait() }
        #expect(plane.with { $0.slotsSeen } > 1000)
        let whole = try loop.submit { Self.open(board.value).clients }.wait()
        #expect(whole?.components(separatedBy: "10.0.").count == 21)
    }

    private func board(_ plane: FakePlane) throws -> (any EventLoop, NIOLoopBound<StatusBoard>) {
        let loop = loop
        let board = try loop.submit {
            let board = StatusBoard(eventLoop: loop, plane: plane, version: "9.8.7")
            board.showsClients = true
            return NIOLoopBound(board, eventLoop: loop)
        }.wait()
        return (loop, board)
    }
}
