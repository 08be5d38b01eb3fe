import Addressing
import Configuration
import Glibc
import Linux

/// The listening sockets that whoever started the daemon has passed to it, as sd_listen_fds(3) has it: descriptors from 3
/// on, named by LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES.
struct InheritedSockets {
    struct Socket: Equatable {
        let descriptor: Int32
        let name: String
        let address: ListenerAddress
        let device: String?
        let isV6Only: Bool

        /// `web (0.0.0.0:80)`, for the errors.
        var text: String { "\(name) (\(address.name(on: device)))" }
    }

    private static let variables = (count: "LISTEN_FDS", process: "LISTEN_PID", names: "LISTEN_FDNAMES")
    /// The first of them: SD_LISTEN_FDS_START.
    private static let first: Int32 = 3
    /// The name of those that LISTEN_FDNAMES does not name.
    private static let nameless = "unknown"

    /// Those that no listener has taken yet.
    private(set) var left: [Socket]

    init(_ sockets: [Socket] = []) {
        left = sockets
    }

    /// Finds them, and takes the variables out of the environment: what this process starts or becomes has no use for them.
    static func claim() throws(StartError) -> InheritedSockets {
        let process = Environment.value(variables.process)
        let count = Environment.value(variables.count)
        let names = Environment.value(variables.names)
        for name in [variables.process, variables.count, variables.names] { Environment.remove(name) }
        // Left over by a parent that they were for.
        guard let process, let count, Int32(process) == Processes.own else { return InheritedSockets() }
        return try InheritedSockets(count: count, names: names, from: first)
    }

    /// - Parameters: the values of the variables, and the first descriptor.
    init(count: String, names: String?, from first: Int32) throws(StartError) {
        guard let number = Int32(count), (0...Int32(ListenerConfiguration.most)).contains(number) else {
            throw StartError(
                "LISTEN_FDS=\(count) is not a number of sockets, 0 to \(ListenerConfiguration.most): whoever starts limpetd"
                    + " sets it")
        }
        let names = names.map { $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init) }
        if let names, names.count != number, !(number == 0 && names == [""]) {
            throw StartError("LISTEN_FDNAMES has \(names.count) names, and LISTEN_FDS says \(number) sockets")
        }
        left = []
        for index in 0..<number {
            let name = names?[Int(index)] ?? InheritedSockets.nameless
            left.append(try InheritedSockets.look(first + index, name))
        }
    }

    private static func look(_ descriptor: Int32, _ name: String) throws(StartError) -> Socket {
        let what = "descriptor \(descriptor) (\(name)), which was passed to limpetd,"
        guard let facts = SocketFacts(descriptor) else {
            throw StartError(
                "\(what) is no socket: LISTEN_FDS and LISTEN_PID are for sockets that listen, descriptors from 3 on")
        }
        let address: ListenerAddress
        if facts.isTCP, let endpoint = facts.endpoint {
            address = .endpoint(endpoint)
        } else if facts.isUnixStream, let path = facts.path {
            address = .unix(path)
        } else {
            throw StartError(
                "\(what) is \(facts.description): limpetd takes TCP and Unix sockets that listen (ListenStream=)")
        }
        guard facts.isListening else {
            throw StartError("\(what) does not listen: its unit must say Accept=no")
        }
        return Socket(
            descriptor: descriptor, name: name, address: address, device: facts.device,
            isV6Only: facts.family != AF_INET6 || facts.isV6Only)
    }

    /// Takes the socket of a listener: by its name where the listener says one, else by its address.
    /// - Returns: nil: there is none, and the listener binds its address.
    mutating func take(for listener: ListenerConfiguration) throws(StartError) -> Socket? {
        switch listener.address {
        case .inherited(let name): return try take(named: name)
        case .unix:
            guard let found = left.firstIndex(where: { $0.address == listener.address }) else { return nil }
            guard listener.options.isEmpty else {
                throw StartError(
                    "listen \(listener.name): the socket was passed to limpetd, and whoever has made it has said whom its file"
                        + " belongs to: leave mode, owner and group out")
            }
            return left.remove(at: found)
        case .endpoint(let endpoint):
            let found = left.firstIndex { $0.address == listener.address && $0.device == listener.device }
            guard let found else { return nil }
            guard left[found].isV6Only == listener.isV6Only || endpoint.address.family == .v4 else {
                throw StartError(
                    listener.isV6Only
                        ? "listen \(listener.name): the socket that was passed takes IPv4 clients as well: say"
                            + " v6only = false, or BindIPv6Only=ipv6-only in its unit"
                        : "listen \(listener.name): the socket that was passed takes IPv6 clients alone: leave v6only = false"
                            + " out, or say BindIPv6Only=both in its unit")
            }
            return left.remove(at: found)
        }
    }

    private mutating func take(named name: String) throws(StartError) -> Socket {
        let found = left.indices.filter { left[$0].name == name }
        if found.count > 1 {
            throw StartError(
                "listen fd:\(name): \(found.count) sockets of this name were passed: give each a name of its own"
                    + " (FileDescriptorName=), or listen by their addresses")
        }
        guard let position = found.first else {
            throw StartError(
                left.isEmpty
                    ? "listen fd:\(name): no socket is left that was passed to limpetd: have it started by its socket unit,"
                        + " or listen on an address"
                    : "listen fd:\(name): no socket of this name was passed to limpetd; there are"
                        + " \(left.map(\.text).joined(separator: ", "))")
        }
        return left.remove(at: position)
    }

    /// Refuses what no listener has taken: clients would wait there for ever.
    func checkAllTaken() throws(StartError) {
        guard let socket = left.first else { return }
        let all = left.map(\.text).joined(separator: ", ")
        throw StartError(
            "no listener takes what was passed to limpetd: \(all): add listen = \"fd:\(socket.name)\", or take it out of"
                + " what starts limpetd")
    }
}
