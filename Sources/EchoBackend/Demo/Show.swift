import Glibc
import NIOCore

/// The demonstration itself: says what happens, and checks what it says. Belongs to the main thread.
struct Show {
    private let stage: Stage
    private let op: Operator
    private let limpetctlPath: String
    private let group: any EventLoopGroup
    private let servers: [Stage.Server]
    private let target: SocketAddress
    private let started = ContinuousClock.now

    /// Where the clients come from: two dozen people, seen by their addresses.
    private let clients = (1...24).map { "127.0.17.\($0)" }

    /// Starts the servers and limpetd, and waits until limpetd takes connections.
    init(stage: Stage, limpetctl: String, group: any EventLoopGroup) throws {
        self.stage = stage
        self.group = group
        limpetctlPath = limpetctl
        op = Operator(limpetctl: limpetctl, controlSocket: stage.controlSocket)
        servers = try ["ws1", "ws2", "ws3"].map { try stage.startServer(named: $0) }
        let limpetd = try stage.startLimpetd(before: servers)
        let deadline = ContinuousClock.now + .seconds(20)
        while try !op.isReady() {
            if let status = limpetd.statusIfEnded() {
                throw EchoError("limpetd did not start: it exited with \(status)")
            }
            guard ContinuousClock.now < deadline else { throw EchoError("limpetd is not ready after 20 s") }
            usleep(20_000)
        }
        target = try SocketAddress(numeric: op.listener())
    }

    // MARK: The scenario

    /// Plays the whole scenario. Returns when every statement has been checked and found true.
    func play() throws {
        introduce()
        let first = try arrive()
        try comeBack(to: first.map(\.server))
        try lookAround()
        try drainAndReturn(first)
        say(
            """

            All of it held, in \(seconds(since: started)). What was started for it ends now.
            To play with the same set-up yourself: make run
            """)
    }

    private func introduce() {
        say(
            """
            Limpet stands between clients that stay connected for long and the servers they talk to.
            Here: three WebSocket servers, limpetd before them, and \(clients.count) clients, each with an address
            of its own. Everything is real: processes, sockets, WebSockets. Each "ok" has been checked.

            """)
        for server in servers {
            say("    \(server.name)     \(server.address)")
        }
        say("    limpetd \(target.text)   (the only address that the clients know)")
    }

    private func arrive() throws -> [WebSocketClient] {
        say("\n1. The clients connect. Who greets whom?\n")
        let sockets = try connectAll()
        for server in servers {
            let theirs = zip(clients, sockets).filter { $0.1.server == server.name }.map(\.0)
            say("    \(server.name) greets \(count(theirs.count, "client")):")
            for line in wrapped(theirs) { say("        \(line)") }
        }
        say("")
        let names = Set(servers.map(\.name))
        try claim(Set(sockets.map(\.server)) == names, "every server has clients, and nobody else answered")
        return sockets
    }

    private func comeBack(to homes: [String]) throws {
        say("\n2. Each hangs up and connects again, three times. (Source ports change, addresses do not.)\n")
        var same = 0
        for _ in 1...3 {
            let sockets = try connectAll()
            same += zip(sockets, homes).count { $0.server == $1 }
            for socket in sockets { try socket.close() }
        }
        try claim(same == 3 * clients.count, "\(same) of \(3 * clients.count) connections met the same server again")

        let foretold = try clients.map { try op.choice(for: $0) }
        let agreed = zip(foretold, homes).count { $0 == $1 }
        try claim(
            agreed == clients.count, "`limpetctl where ADDRESS` names that server for \(agreed) of \(clients.count)")
    }

    private func lookAround() throws {
        say("\n3. What the person who runs it sees. (The clients' first connections are still open.)\n")
        try waitForConnections(clients.count)
        try show(["backends"])
        try show(["connections", "--limit", "6"])
        try claim(
            try op.connectionCount() == clients.count, "the whole table has \(clients.count) rows, one for each client")
    }

    /// - Parameter first: the clients' first connections, all open since step 1.
    private func drainAndReturn(_ first: [WebSocketClient]) throws {
        let homes = first.map(\.server)
        let drained = servers[1].name
        let leaving = homes.count { $0 == drained }
        // Nothing is sent on this one between its greeting and the last step.
        guard let idle = homes.firstIndex(of: drained) else { throw EchoError("\(drained) has no client to speak of") }

        say("\n4. \(drained) is to be restarted. It gets no new connections from now on; those it has stay.\n")
        try show(["drain", drained])
        say("    Every client connects once more, beside the connection that it has.\n")
        let second = try connectAll()
        let pairs = zip(second.map(\.server), homes)
        let moved = pairs.count { $0 != $1 && $1 == drained }
        let bystanders = pairs.count { $0 != $1 && $1 != drained }
        let heirs = servers.filter { $0.name != drained }
            .map { server in
                "\(pairs.count { $0 == server.name && $1 == drained }) to \(server.name)"
            }
        let whither = heirs.joined(separator: ", ")
        try claim(moved == leaving, "\(moved) of \(drained)'s \(leaving) clients moved: \(whither)")
        try claim(bystanders == 0, "\(bystanders) of the other \(clients.count - leaving) clients moved")
        let asked = first.indices.filter { $0 != idle }
        let alive = try asked.count { try first[$0].echoes("still here, \(clients[$0])") }
        try claim(
            alive == asked.count,
            "\(alive) connections from step 1 are open and echo, \(leaving - 1) of them through \(drained);")
        say("        one more through \(drained) is left alone until the end")
        try waitForConnections(2 * clients.count)
        say("")
        try show(["backends"])
        for socket in second { try socket.close() }

        say("5. \(drained) is back.\n")
        try show(["undrain", drained])
        let third = try connectAll()
        let home = zip(third, homes).count { $0.server == $1 }
        try claim(home == clients.count, "\(home) of \(clients.count) clients are greeted by their first server again")
        try claim(
            try first[idle].echoes("I said nothing all the while"),
            "\(clients[idle])'s WebSocket to \(drained), silent since step 1, still echoes")
        for socket in first + third { try socket.close() }
    }

    // MARK: The playground

    /// Connects the clients and says what to try. Returns at once; the connections stay.
    func stay() throws {
        let sockets = try connectAll()
        say(
            """
            Running until Ctrl-C: \(servers.map(\.name).joined(separator: ", ")), limpetd on \(target.text) before them,
            and \(sockets.count) WebSocket clients that stay connected. In another terminal:

                export LIMPET_CONTROL=\(stage.controlSocket)
                PATH=$PATH:\(directory(of: limpetctlPath))

                limpetctl status
                limpetctl backends
                limpetctl connections
                limpetctl where \(clients[0])

            Be a client from an address of your own (the answer is the server's name), again and again:

                curl --interface 127.0.0.7 http://\(target.text)/

            Drain the server that answered, ask again, and bring it back:

                limpetctl drain \(servers[1].name)
                limpetctl undrain \(servers[1].name)

            The same without limpetctl:

                curl --unix-socket $LIMPET_CONTROL http://limpet/v1/backends
            """)
    }

    // MARK: Tools

    private func connectAll() throws -> [WebSocketClient] {
        try clients.map { try WebSocketClient.connect(from: $0, to: target, on: group) }
    }

    /// limpetd learns of an end a moment after the client has seen it.
    private func waitForConnections(_ expected: Int) throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            let now = try op.connectionCount()
            if now == expected { return }
            guard ContinuousClock.now < deadline else {
                throw EchoError("limpetctl connections lists \(now) connections, expected \(expected)")
            }
            usleep(20_000)
        }
    }

    private func claim(_ isTrue: Bool, _ statement: String) throws {
        guard isTrue else { throw EchoError("this should have been true and is not: \(statement)") }
        say("    ok  \(statement)")
    }

    /// A command as the reader would type it, and its real output.
    private func show(_ arguments: [String]) throws {
        say("    $ limpetctl \(arguments.joined(separator: " "))")
        for line in try op.run(arguments).split(separator: "\n", omittingEmptySubsequences: false) {
            say(line.isEmpty ? "" : "    \(line)")
        }
    }

    private func say(_ text: String) {
        writeLine(text)
    }

    private func count(_ number: Int, _ noun: String) -> String {
        "\(number) \(noun)\(number == 1 ? "" : "s")"
    }

    private func wrapped(_ addresses: [String]) -> [String] {
        stride(from: 0, to: addresses.count, by: 6).map {
            addresses[$0..<min($0 + 6, addresses.count)].joined(separator: " ")
        }
    }

    private func seconds(since start: ContinuousClock.Instant) -> String {
        let tenths = (ContinuousClock.now - start) / .milliseconds(100)
        return "\(Double(Int(tenths)) / 10) s"
    }

    private func directory(of path: String) -> String {
        guard let resolved = realpath(path, nil) else { return "." }
        defer { free(resolved) }
        let full = String(cString: resolved)
        return full.lastIndex(of: "/").map { String(full[..<$0]) } ?? "."
    }
}
