import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket

/// Listens, and gives each connection the pipeline of a WebSocket echo server or of a page with its name.
struct WebSocketServer {
    let name: String
    let group: any EventLoopGroup

    /// Most bytes of a message, in one frame or in many.
    private static let messageLimit = 64 << 20

    /// Listens until the group is shut down. Not on an event loop: it waits.
    /// - Returns: the address, with the port that the kernel chose.
    func start(on address: SocketAddress) throws -> SocketAddress {
        let name = name
        let channel = try ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { Self.configure($0, name: name) }
            .bind(to: address)
            .wait()
        guard let bound = channel.localAddress else {
            throw EchoError("the listener closed at once")
        }
        return bound
    }

    private static func configure(_ channel: any Channel, name: String) -> EventLoopFuture<Void> {
        let upgrader = NIOTypedWebSocketServerUpgrader<Void>(
            maxFrameSize: messageLimit,
            shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture(HTTPHeaders()) },
            upgradePipelineHandler: { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        BackPressureHandler(),
                        NIOWebSocketFrameAggregator(
                            minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 1 << 20,
                            maxAccumulatedFrameSize: messageLimit),
                        EchoHandler(name: name))
                }
            })
        return channel.eventLoop.makeCompletedFuture {
            _ = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
                configuration: .init(
                    upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                        upgraders: [upgrader],
                        notUpgradingCompletionHandler: { channel in
                            channel.eventLoop.makeCompletedFuture {
                                try channel.pipeline.syncOperations.addHandler(NameHandler(name: name))
                            }
                        })))
        }
    }
}
