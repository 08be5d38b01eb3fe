import NIOCore
import NIOEmbedded
import NIOHTTP1

@testable import Control

/// A client of the control socket. The first byte says who it is and into which pieces its bytes are cut.
///
/// Whoever may only read changes nothing, whatever it writes, and a stranger is not told anything.
func controlClient(_ input: UnsafeRawBufferPointer) {
    guard let first = input.first else { return }
    let caller: Caller
    switch first & 3 {
    case 0, 1: caller = Caller(pid: 1, uid: 0, gid: 0)
    case 2: caller = Caller(pid: 1, uid: 1000, gid: 4711)
    default: caller = Caller(pid: 1, uid: 1000, gid: 1000)
    }
    let plane = FakePlane()
    let routes = Routes(
        plane: plane, version: "1", access: CurrentPolicy(AccessPolicy(user: 7, group: 4711)), slice: 2)
    let limits = ControlLimits()
    let said = converse(input.dropFirst(), pieces: Int(first >> 2), limits.headerField, limits.header) { loop in
        ClientHandler(routes: routes, limits: limits, version: "1", turns: Turns(loop), caller: caller)
    }
    if caller.uid != 0 { check(plane.with { $0.changes.isEmpty }, "a reader has changed \(plane.with { $0.changes })") }
    for status in said.statuses {
        check(caller.gid != 1000 || (400..<600).contains(status), "a stranger was answered \(status)")
    }
}

/// A client of the metrics' port, with the status page.
func webClient(_ input: UnsafeRawBufferPointer) {
    guard let first = input.first else { return }
    let plane = FakePlane()
    let board = StatusBoard(eventLoop: EmbeddedEventLoop(), plane: plane, version: "1")
    let routes = WebRoutes(plane: plane, version: "1", board: board, isLocal: true)
    routes.page.isServed = true
    let limits = WebLimits()
    let said = converse(input.dropFirst(), pieces: Int(first), limits.headerField, limits.header) { loop in
        var turn: UInt64 = 0
        return WebHandler(routes: routes, limits: limits, turns: Turns(loop), peer: nil) {
            turn += 1
            return turn
        }
    }
    check(plane.with { $0.changes.isEmpty }, "something has changed: \(plane.with { $0.changes })")
    let known = [200, 400, 404, 405, 408, 413, 421, 431, 503]
    for status in said.statuses { check(known.contains(status), "it was answered \(status)") }
}

private struct Said {
    var statuses: [Int] = []
}

/// Lets a client say its bytes to a handler in a pipeline as the server makes it, then nothing for a long time, then go.
private func converse(
    _ bytes: Slice<UnsafeRawBufferPointer>, pieces: Int, _ field: Int, _ header: Int,
    _ handler: (any EventLoop) -> some ChannelInboundHandler
) -> Said {
    let loop = EmbeddedEventLoop()
    let channel = EmbeddedChannel(loop: loop)
    var decoder = NIOHTTPDecoderLimitConfiguration()
    decoder.maxHeaderFieldSize = field
    decoder.maxHeaderListSize = header
    decoder.maxHeaderFieldCount = 64
    do {
        let pipeline = channel.pipeline.syncOperations
        try pipeline.configureHTTPServerPipeline(
            withPipeliningAssistance: true, withServerUpgrade: nil, withErrorHandling: false,
            withEncoderConfiguration: .init(), withDecoderLimitConfiguration: decoder)
        try pipeline.addHandler(handler(loop))
        try channel.connect(to: try SocketAddress(unixDomainSocketPath: "/limpet")).wait()
    } catch {
        fatalError("\(error)")
    }
    var rest = bytes
    let size = pieces == 0 ? max(1, rest.count) : 1 + pieces * 3
    while !rest.isEmpty, channel.isActive {
        var buffer = channel.allocator.buffer(capacity: size)
        buffer.writeBytes(rest.prefix(size))
        rest = rest.dropFirst(size)
        _ = try? channel.writeInbound(buffer)
        loop.run()
    }
    // Whoever says no more is let go, but for one who waits for events.
    loop.advanceTime(by: .seconds(400))
    let said = heard(channel)
    _ = try? channel.finish(acceptAlreadyClosed: true)
    loop.run()
    return said
}

/// The statuses in what was sent. All of it is responses of HTTP, one after the other.
private func heard(_ channel: EmbeddedChannel) -> Said {
    var said = Said()
    while let part = try? channel.readOutbound(as: ByteBuffer.self) {
        guard part.readableBytesView.starts(with: "HTTP/1.".utf8) else { continue }
        let line = String(decoding: part.readableBytesView.prefix(12), as: UTF8.self)
        guard let status = Int(line.suffix(3)) else { fatalError("a response begins \(line.debugDescription)") }
        said.statuses.append(status)
    }
    return said
}
