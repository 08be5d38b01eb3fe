import Addressing
import Configuration
import Testing

@testable import Engine

/// Which numbers things have, from one configuration to the next.
@Suite struct SlotTests {
    private let limits = SlotLimits(services: 100, backends: 100, listeners: 100)

    /// `name@listener,listener:backend,backend` for each service.
    private func configuration(_ services: String...) throws -> DaemonConfiguration {
        DaemonConfiguration(
            services: try services.map { text in
                let parts = text.split(separator: "@")
                let rest = parts[1].split(separator: "|")
                return ServiceConfiguration(
                    name: String(parts[0]),
                    listeners: try rest[0].split(separator: ",").map {
                        ListenerConfiguration(try Endpoint(parsing: "127.0.0.1:\($0)"))
                    },
                    backends: try rest[1].split(separator: ",").map {
                        BackendConfiguration(name: String($0), address: try Endpoint(parsing: "10.0.0.1:80"))
                    })
            })
    }

    private func start(_ configuration: DaemonConfiguration) throws -> SlotTables {
        try SlotAssigner.assign(configuration, after: nil, SlotTables(), limits: limits).tables
    }

    private func backends(_ tables: SlotTables) -> [String] {
        tables.backends.map { "\($0.service)/\($0.name)" + ($0.use == .retired ? " retired" : "") }
    }

    private func listeners(_ tables: SlotTables) -> [String] {
        tables.listeners.map { "\($0.service) \($0.address.dropFirst(10))" + ($0.use == .retired ? " retired" : "") }
    }

    @Test func atTheStartThePositionIsTheSlot() throws {
        let assignment = try SlotAssigner.assign(
            try configuration("chat@80,81|a,b", "mqtt@90|a"), after: nil, SlotTables(), limits: limits)
        #expect(assignment.tables.services.map(\.name) == ["chat", "mqtt"])
        #expect(backends(assignment.tables) == ["chat/a", "chat/b", "mqtt/a"])
        #expect(listeners(assignment.tables) == ["chat 80", "chat 81", "mqtt 90"])
        #expect(assignment.opened.map(\.slot) == [0, 1, 2] && assignment.opened.map(\.serviceSlot) == [0, 0, 1])
        #expect(assignment.opened.map(\.service) == [0, 0, 1])
    }

    @Test func nothingChangesItsSlot() throws {
        let old = try configuration("chat@80,81|a,b", "mqtt@90|a")
        let tables = try start(old)
        for new in [
            old, try configuration("mqtt@90|a", "chat@81,80|b,a"), try configuration("mqtt@70,90|x,a", "chat@80|c,b"),
        ] {
            let next = try SlotAssigner.assign(new, after: old, tables, limits: limits).tables
            for service in new.services {
                if let before = tables.liveServices[service.name] {
                    #expect(next.liveServices[service.name] == before)
                }
                for backend in service.backends {
                    let key = SlotTables.key(service.name, backend.name)
                    #expect(next.liveBackends[key] != nil)
                    if let before = tables.liveBackends[key] { #expect(next.liveBackends[key] == before) }
                }
            }
        }
    }

    @Test func whatIsRemovedIsRetiredAndTakesNobodysPlace() throws {
        let old = try configuration("chat@80|a,b")
        let tables = try start(old)
        let new = try configuration("chat@81|b,c")
        let next = try SlotAssigner.assign(new, after: old, tables, limits: limits)
        #expect(backends(next.tables) == ["chat/a retired", "chat/b", "chat/c"])
        #expect(listeners(next.tables) == ["chat 80 retired", "chat 81"])
        #expect(next.opened.map(\.slot) == [1])
        #expect(next.recycledBackends == [] && next.recycledListeners == [])
    }

    @Test func whoComesBackGetsItsSlotBack() throws {
        let old = try configuration("chat@80,0|a,b", "mqtt@90|a")
        let less = try configuration("chat@80|b")
        let tables = try SlotAssigner.assign(less, after: old, try start(old), limits: limits).tables
        #expect(backends(tables) == ["chat/a retired", "chat/b", "mqtt/a retired"])
        #expect(tables.services.map(\.use) == [.live, .retired])
        let back = try SlotAssigner.assign(old, after: less, tables, limits: limits)
        #expect(backends(back.tables) == ["chat/a", "chat/b", "mqtt/a"])
        #expect(back.tables.services.map(\.use) == [.live, .live])
        #expect(back.tables.services.map(\.configuration) == [nil, nil])
        // A port that the kernel chose is another port the next time, and connections of the old one show the old one.
        #expect(listeners(back.tables) == ["chat 80", "chat 0 retired", "mqtt 90", "chat 0"])
        #expect(back.opened.map(\.slot) == [3, 2])
    }

    /// The same name in another service is another backend.
    @Test func aNameBelongsToItsService() throws {
        let old = try configuration("chat@80|a")
        let new = try configuration("talk@80|a")
        let next = try SlotAssigner.assign(new, after: old, try start(old), limits: limits)
        #expect(backends(next.tables) == ["chat/a retired", "talk/a"])
        #expect(next.tables.services.map(\.name) == ["chat", "talk"])
        // But its listener was open, and is.
        #expect(listeners(next.tables) == ["talk 80"])
        #expect(next.opened == [])
    }

    /// What its connections still need to know is kept with it.
    @Test func aRetiredServiceKeepsItsConfiguration() throws {
        var old = try configuration("chat@80|a", "mqtt@90|a")
        old.services[0].idleTimeout = .seconds(77)
        let new = try configuration("mqtt@90|a")
        let tables = try SlotAssigner.assign(new, after: old, try start(old), limits: limits).tables
        let text = try #require(tables.services[0].configuration)
        #expect(try ConfigurationLoader.parse(text, source: "").configuration.services == [old.services[0]])
        // … through the reloads that follow.
        let further = try SlotAssigner.assign(new, after: new, tables, limits: limits).tables
        #expect(further == tables)
    }

    @Test func aListenerGoesOverToAnotherService() throws {
        let old = try configuration("chat@80,81|a", "mqtt@90|a")
        let next = try SlotAssigner.assign(
            try configuration("chat@80|a", "mqtt@81,90|a"), after: old, try start(old), limits: limits)
        #expect(listeners(next.tables) == ["chat 80", "mqtt 81", "mqtt 90"])
        #expect(next.opened == [])
    }

    @Test func aChosenPortMayBeWrittenDown() throws {
        let old = try configuration("chat@0,0|a")
        let bound = try ["127.0.0.1:40001", "127.0.0.1:40002"].map {
            ListenerConfiguration(try Endpoint(parsing: $0))
        }
        let next = try SlotAssigner.assign(
            try configuration("chat@40002,0|a"), after: old, try start(old), limits: limits, bound: bound)
        // The first 0 stays where it was; the port asked for is the second's.
        #expect(listeners(next.tables) == ["chat 0", "chat 40002"])
        #expect(next.opened == [])
    }

    /// A socket that was passed by name, asked for by its address: it stays where it is what is asked for, and not where it takes
    /// IPv4 clients that are not wanted, or the other way round.
    @Test(arguments: [true, false], [true, false])
    func aPassedSocketMayBeWrittenDownAsItIs(isV6Only: Bool, isWanted: Bool) throws {
        var old = try configuration("chat@80|a")
        old.services[0].listeners = [ListenerConfiguration(.inherited("web"))]
        var socket = ListenerConfiguration(try Endpoint(parsing: "[::]:443"))
        socket.isV6Only = isV6Only
        var wanted = socket
        wanted.isV6Only = isWanted
        var new = old
        new.services[0].listeners = [wanted]
        let tables = try start(old)
        #expect(tables.listeners.map(\.address) == ["fd:web"])
        let next = try SlotAssigner.assign(new, after: old, tables, limits: limits, bound: [socket])
        #expect(next.opened.map(\.configuration) == (isV6Only == isWanted ? [] : [wanted]))
        #expect(next.tables.listeners.filter { $0.use == .live }.map(\.address) == ["[::]:443"])
        #expect(next.tables.listeners.last?.binding == (isWanted ? nil : "v6only=false"))
    }

    @Test func idleSlotsAreUsedAgainOnlyWhenThereAreNoOthers() throws {
        let tight = SlotLimits(services: 2, backends: 3, listeners: 3)
        let one = try configuration("chat@80,81|a,b")
        let two = try configuration("chat@80,82|a,c")
        var tables = try SlotAssigner.assign(one, after: nil, SlotTables(), limits: tight).tables
        tables = try SlotAssigner.assign(two, after: one, tables, limits: tight).tables
        #expect(backends(tables) == ["chat/a", "chat/b retired", "chat/c"])
        let three = try configuration("chat@80,82,83|a,c,d", "mail@84|x")
        // Connections hold them.
        #expect(throws: StartError.self) {
            try SlotAssigner.assign(try configuration("chat@80|a,c,d"), after: two, tables, limits: tight)
        }
        let idle = IdleSlots(services: [], backends: [1], listeners: [1])
        let next = try SlotAssigner.assign(
            try configuration("chat@80,82,83|a,c,d"), after: two, tables, limits: tight, idle: { idle })
        #expect(backends(next.tables) == ["chat/a", "chat/d", "chat/c"])
        #expect(listeners(next.tables) == ["chat 80", "chat 83", "chat 82"])
        #expect(next.recycledBackends == [1] && next.recycledListeners == [1])
        // One more than there are.
        let error = #expect(throws: StartError.self) {
            try SlotAssigner.assign(three, after: two, tables, limits: tight, idle: { idle })
        }
        #expect(try #require(error).description.contains("more backends than one limpetd takes, which is 3"))
    }

    /// A slot that this very configuration brings back is not given away, and one that it retires is not free yet.
    @Test func whatIsNeededOrStillOpenIsNotRecycled() throws {
        let tight = SlotLimits(services: 2, backends: 2, listeners: 2)
        let one = try configuration("chat@80|a", "mail@81|a")
        var tables = try SlotAssigner.assign(one, after: nil, SlotTables(), limits: tight).tables
        let two = try configuration("chat@80|a")
        tables = try SlotAssigner.assign(two, after: one, tables, limits: tight).tables
        let everything = IdleSlots(services: [0, 1], backends: [0, 1], listeners: [0, 1])
        #expect(throws: StartError.self) {
            try SlotAssigner.assign(
                try configuration("new@82|a", "chat@80|a", "mail@81|a"), after: two, tables, limits: tight,
                idle: { everything })
        }
        // 80 is closed only when this reload is done.
        #expect(throws: StartError.self) {
            try SlotAssigner.assign(
                try configuration("chat@83,84|a"), after: two, tables, limits: tight,
                idle: { IdleSlots(services: [1], backends: [1], listeners: [0, 1]) })
        }
    }

    /// Sockets that cannot be changed give way to others, in another slot: so both can be open at once.
    @Test func otherSocketsAreInAnotherSlot() throws {
        let endpoint = try Endpoint(parsing: "[::]:80")
        var one = try configuration("chat@80|a")
        one.services[0].listeners = [ListenerConfiguration(endpoint)]
        var two = one
        two.services[0].listeners[0].isV6Only = false
        let tables = try start(one)
        let next = try SlotAssigner.assign(two, after: one, tables, limits: limits)
        #expect(next.tables.listeners.map(\.use) == [.retired, .live])
        #expect(next.tables.listeners.map(\.binding) == [nil, "v6only=false"])
        #expect(next.opened.map(\.slot) == [1] && next.opened.map(\.former) == [0])
        // It is the same listener all the same.
        #expect(next.tables.goneListeners == [] && next.tables.successors == [1, nil])
        // Back: its old slot.
        let back = try SlotAssigner.assign(one, after: two, next.tables, limits: limits)
        #expect(back.tables.listeners.map(\.use) == [.live, .retired])
        #expect(back.opened.map(\.slot) == [0] && back.opened.map(\.former) == [1])
        // What needs no other sockets: the same slot.
        two = one
        two.services[0].listeners[0].isFree = true
        #expect(try SlotAssigner.assign(two, after: one, tables, limits: limits).opened == [])
        // Gone is gone.
        let gone = try SlotAssigner.assign(try configuration("chat@81|a"), after: two, next.tables, limits: limits)
        #expect(gone.tables.goneListeners == [0, 1])
    }

    /// Who waits at a listener that gives way is taken in under its slot, and no list is passed by so.
    @Test func retiredListenersKeepTheirLists() throws {
        func chat(_ listeners: String) throws -> DaemonConfiguration {
            try ConfigurationLoader.parse(
                """
                [[service]]
                name = "chat"
                listen = [\(listeners)]
                [[service.backend]]
                name = "b"
                address = "10.0.0.1:80"
                """, source: "test"
            ).configuration
        }
        func topology(
            _ configuration: DaemonConfiguration, _ tables: SlotTables, after previous: Topology? = nil
        ) throws -> Topology {
            try Topology(configuration, tables, after: previous) { _, configured in Double(configured) }
        }
        let (denied, other) = (try #require(IPAddress("127.0.0.2")), try #require(IPAddress("127.0.0.1")))
        let old = try chat(#"{ address = "127.0.0.1:80", deny = ["127.0.0.2"] }, "127.0.0.1:81""#)
        let first = try topology(old, start(old))
        #expect(first.listenerRules[0]?.letsIn(denied) == false && first.listenerRules[1] == nil)
        // Removed: its own list, over this reload and those that follow.
        let new = try chat(#""127.0.0.1:82""#)
        let tables = try SlotAssigner.assign(new, after: old, first.tables, limits: limits).tables
        #expect(tables.listeners.map(\.use) == [.retired, .retired, .live])
        let second = try topology(new, tables, after: first)
        #expect(second.listenerRules == [first.listenerRules[0], nil, nil])
        let again = try SlotAssigner.assign(new, after: new, tables, limits: limits).tables
        #expect(try topology(new, again, after: second).listenerRules == second.listenerRules)
        // After a death nobody comes by it; by those that had no list, everybody.
        let recovered = try topology(new, tables)
        #expect(recovered.listenerRules[1] == nil && recovered.listenerRules[2] == nil)
        for client in [denied, other, try #require(IPAddress("2001:db8::1"))] {
            #expect(recovered.listenerRules[0]?.letsIn(client) == false, "\(client)")
        }
        // Bound anew: the list of the one that has its address now.
        let narrow = try chat(#"{ address = "[::]:80", deny = ["127.0.0.2"] }, "127.0.0.1:81""#)
        let before = try topology(narrow, start(narrow))
        let wide = try chat(#"{ address = "[::]:80", deny = ["127.0.0.1"], v6only = false }, "127.0.0.1:81""#)
        let rebound = try SlotAssigner.assign(wide, after: narrow, before.tables, limits: limits).tables
        #expect(rebound.listeners.map(\.use) == [.retired, .live, .live])
        for previous in [before, nil] {
            let rules = try topology(wide, rebound, after: previous).listenerRules
            #expect(rules[0] == rules[2] && rules[0]?.letsIn(denied) == true && rules[0]?.letsIn(other) == false)
        }
        // Wanted back, it is as it is configured.
        let back = try SlotAssigner.assign(old, after: new, tables, limits: limits).tables
        #expect(back.listeners.map(\.isRestricted) == [nil, nil, nil])
    }
}
