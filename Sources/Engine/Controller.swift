import Addressing
import Backends
import CLayout
import Configuration
import Control
import Forwarding
import Linux
import Logging
import NIOCore

/// The control plane's state: what the operator wants, and what of it has been told to the workers.
///
/// Everything in it is touched on the control event loop alone; `@unchecked Sendable` because it is handed there.
final class Controller: ControlPlane, @unchecked Sendable {
    /// What the document says.
    var active: ActiveConfiguration
    /// With the configuration that is active.
    var request: EngineRequest {
        didSet { keptHash = nil }
    }
    private var keptHash: String?
    /// Of the active configuration: files of networks count, and may be long.
    var configHash: String {
        if let keptHash { return keptHash }
        let hash = request.configuration.configHash
        keptHash = hash
        return hash
    }
    /// With the weights that are in force.
    var topology: Topology
    let region: SharedRegion
    let table: ConnectionTable
    let workers: WorkerPool
    let tally: Tally
    var listenerSet: ListenerSet
    var budget: DescriptorBudget
    let eventLoop: any EventLoop
    let log: Logger
    /// Whom the daemon runs as.
    let userName: String
    /// Ends the process. Called once, when nothing is left to do.
    let finished: @Sendable () -> Void

    /// For the metrics.
    let counts: ControlCounts
    /// Serves the control socket; nil: not yet.
    var control: (server: ControlServer, socket: ControlSocket)?
    var refusals = Refusals()
    /// Serves the metrics over HTTP; nil: nowhere.
    var web: WebServer?
    private(set) lazy var board = StatusBoard(eventLoop: eventLoop, plane: self, version: runningVersion)
    let incidents: IncidentLog
    let healthKeeper: HealthKeeper
    let nameKeeper: NameKeeper
    let resolver: LazyResolver
    var nameChange = NameChange()
    /// A rebuild for the weights that agents have changed is to come.
    var isRebuildPlanned = false
    var reloads = Reloads()
    /// The configuration file as it was read last.
    var fileReading: ConfigurationLoader.FileReading?
    /// What operators have set, on its way to the disk.
    let intents: IntentKeeper
    let logThread: LogThread
    /// By backend slot.
    var closings: [Int: Closing] = [:]
    /// By backend slot: when a check was asked for last because a connection was reset at once, in ns of ``Clock``.
    var resetChecks: [Int: UInt64] = [:]
    var sheddings = Sheddings()
    var drains = Drains()
    /// Plans that are being reckoned.
    var plansUnderWay = 0
    /// Closes connections at a pace while the daemon ends.
    var departure: Departure?
    var slowStarts = SlowStarts()
    var ports = Ports()
    /// What the service manager is told.
    var service = ServiceReport()
    /// By backend slot.
    var passives: [Int: Passive] = [:]
    /// Accepts that failed for a lack of descriptors, as of the last second.
    private var descriptorFailures: UInt64 = 0
    /// Whether some failed during that second: while somebody waits, workers try again ten times a second.
    private(set) var lacksDescriptors = false
    var phase = Phase.serving

    enum Phase {
        case serving
        /// Not ready any more and accepting yet, until `stop`; then it drains (ns of ``Clock``).
        case leaving(stop: UInt64, until: UInt64)
        /// No longer accepting; connections may end by themselves until the deadline (ns of ``Clock``).
        case draining(until: UInt64)
        /// What is left has been told to close.
        case closing(until: UInt64)
        case ended
    }

    init(
        active: ActiveConfiguration, request: EngineRequest, topology: Topology, region: SharedRegion,
        workers: WorkerPool, tally: Tally, listeners: ListenerSet, budget: DescriptorBudget,
        incidents: IncidentLog, health: HealthKeeper, resolver: LazyResolver, intents: IntentKeeper,
        logThread: LogThread, userName: String,
        eventLoop: any EventLoop, log: Logger,
        finished: @escaping @Sendable () -> Void
    ) {
        self.active = active
        self.request = request
        self.topology = topology
        self.region = region
        self.workers = workers
        self.tally = tally
        listenerSet = listeners
        self.budget = budget
        self.incidents = incidents
        healthKeeper = health
        self.intents = intents
        self.logThread = logThread
        self.userName = userName
        self.eventLoop = eventLoop
        self.log = log
        self.finished = finished
        table = ConnectionTable(region: region)
        counts = ControlCounts(region)
        self.resolver = resolver
        nameKeeper = NameKeeper(
            request.configuration, facts: topology.names, resolver: resolver, counts: counts, events: health.events,
            eventLoop: eventLoop, log: log)
    }

    /// Takes up what the region says. Once, on the event loop, before anything is asked.
    func begin() {
        drains.inherited = events.total
        for slot in topology.backends.indices { armClosing(slot) }
        healthKeeper.changed = { [weak self] slot in
            self?.noteHealth(slot)
            self?.noteStates()
        }
        healthKeeper.weightsChanged = { [weak self] in self?.planRebuild() }
        // What an agent had asked for, and which no agent is asked for any more, may have gone before anybody listened.
        if hasStaleWeights { planRebuild() }
        noteStates()
        beginNames()
        tellStart()
        beginPassive()
        reviewDown()
        beginSlowStarts()
        forgetUnremembered()
        abandonUpgrade()
        concludeUpgrade()
        // Also after a death: it may have come before the last change was written.
        save()
        resumeShutdown()
    }

    var isServing: Bool {
        if case .serving = phase { return true }
        return false
    }

    /// Whether clients that arrive are taken in.
    var isAccepting: Bool {
        switch phase {
        case .serving, .leaving: true
        case .draining, .closing, .ended: false
        }
    }

    // MARK: Reading the shared region

    /// The counters of one backend, summed over the workers.
    func totals(_ slot: Int) -> limpet_backend_counters {
        var sum = limpet_backend_counters()
        for worker in 0..<region.workerCount {
            let counters = region.counters(worker, backend: slot)
            sum.open &+= limpet_load64(&counters.pointee.open)
            sum.connecting &+= limpet_load64(&counters.pointee.connecting)
            sum.away &+= limpet_load64(&counters.pointee.away)
            sum.total &+= limpet_load64(&counters.pointee.total)
            sum.fallbacks &+= limpet_load64(&counters.pointee.fallbacks)
            sum.bytes.0 &+= limpet_load64(&counters.pointee.bytes.0)
            sum.bytes.1 &+= limpet_load64(&counters.pointee.bytes.1)
            for failure in 0..<Int32(LIMPET_FAILURES) {
                limpet_backend_failures(&sum, failure).pointee &+= limpet_load64(
                    limpet_backend_failures(counters, failure))
            }
        }
        return sum
    }

    func intent(_ slot: Int) -> Backends.Intent { region.intent(slot) }

    func health(_ slot: Int) -> Backends.Health { region.health(slot) }

    func isFull(_ slot: Int) -> Bool {
        let limit = limpet_load64(&region.backend(slot).pointee.limit)
        return limit != 0 && limpet_load64(&region.backend(slot).pointee.load) >= limit
    }

    /// Why a new connection would pass the backend over now; nil: it would not.
    func ineligibility(_ slot: Int) -> AwayReason? {
        Eligibility.reason(intent: intent(slot), health: health(slot), isFull: isFull(slot))
    }

    func tier(_ slot: Int, _ service: Topology.Service) -> Tier? {
        if topology.isNowhere(slot) { return nil }
        return Eligibility.tier(
            intent: intent(slot), health: health(slot), isFull: isFull(slot),
            whenAllDown: service.configuration.whenAllDown)
    }

    func state(_ slot: Int) -> BackendState {
        BackendState(
            intent: intent(slot), health: health(slot), isFull: isFull(slot),
            connections: Int(clamping: limpet_load64(&region.backend(slot).pointee.load)))
    }

    /// Notes when a backend's state changes. Called at every look at it, and once a second. The state that was seen last
    /// lies in the region, so that its age goes on when an engine dies.
    func noteStates() {
        for slot in topology.backends.indices where topology.backends[slot].isLive {
            let now = state(slot).rawValue
            let seen = region.backend(slot)
            if now != limpet_load8(&seen.pointee.state) {
                // The first state of all is no change.
                if seen.pointee.state != 0 { counts.noteState(slot, state(slot)) }
                limpet_publish64(&seen.pointee.since, Clock.wall())
                limpet_publish8(&seen.pointee.state, now)
            }
        }
    }

    /// Notes whether accepting pauses for a lack of descriptors. Called once a second.
    func noteDescriptors() {
        let failures = (0..<region.workerCount).reduce(into: UInt64(0)) {
            $0 &+= limpet_load64(&region.worker($1).pointee.descriptor_failures)
        }
        lacksDescriptors = failures != descriptorFailures
        descriptorFailures = failures
    }

    /// Calls `body` with every connection there is.
    func forEachConnection(_ body: (ConnectionSnapshot) -> Void) { table.visit(body) }
}
