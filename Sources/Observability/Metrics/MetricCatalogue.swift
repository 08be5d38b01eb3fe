/// Every metric there is. No label holds a client's address; the series of a backend go with the backend.
public enum MetricCatalogue {

    // MARK: The daemon

    public static let buildInfo = MetricFamily(
        "limpet_build_info", .gauge, ["version"], "1; the version of the running daemon is in the label.")
    public static let startTime = MetricFamily(
        "limpet_start_time_seconds", .gauge,
        "When the daemon was started, in seconds since 1970; an upgrade or the death of an engine is no start.")
    public static let ready = MetricFamily(
        "limpet_ready", .gauge, "Whether the daemon takes connections; 0 once it is to end.")
    public static let configHash = MetricFamily(
        "limpet_config_hash_info", .gauge, ["hash"],
        "1; equal hashes on two instances say that they were configured alike.")
    public static let mappingHash = MetricFamily(
        "limpet_mapping_hash_info", .gauge, ["service", "hash"],
        "1; equal hashes on two instances say that they give every client of the service the same backend.")
    public static let reloads = MetricFamily(
        "limpet_config_reloads_total", .counter, ["result"],
        "Reloads of the configuration by how they ended; dry runs are not counted.")
    public static let upgrades = MetricFamily(
        "limpet_upgrades_total", .counter, ["result"], "Upgrades by how they ended.")
    public static let crashes = MetricFamily(
        "limpet_crashes_recovered_total", .counter, "Engines that died and whose work the next one went on with.")
    public static let sandbox = MetricFamily(
        "limpet_sandbox", .gauge, ["part"],
        "Whether a part of the sandbox is in force: system-calls, or files (the ABI of Landlock); 0: it is not.")
    public static let sandboxViolations = MetricFamily(
        "limpet_sandbox_violations_total", .counter, "System calls that the sandbox has refused.")
    public static let workers = MetricFamily("limpet_workers", .gauge, "Forwarding threads.")
    public static let connections = MetricFamily(
        "limpet_connections", .gauge, "Connections over all services, those being dialled included.")
    public static let connectionsLimit = MetricFamily(
        "limpet_connections_limit", .gauge, "Connections at which accepting pauses.")
    public static let connectionsClosed = MetricFamily(
        "limpet_connections_closed_total", .counter, ["reason"], "Connections that have ended, by what ended them.")
    public static let connectionDuration = MetricFamily(
        "limpet_connection_duration_seconds", .histogram, "How long the connections lasted that have ended.")
    public static let descriptorFailures = MetricFamily(
        "limpet_descriptor_failures_total", .counter, "Accepts that found no free descriptor.")
    public static let localFailures = MetricFamily(
        "limpet_local_failures_total", .counter,
        "Sockets that could not be had for a reason of this machine's, such as memory.")
    public static let pipePool = MetricFamily(
        "limpet_pipe_pool", .gauge, ["state"], "Pipes by state: held by a connection whose bytes wait in it, or free.")
    public static let pipePoolLimit = MetricFamily(
        "limpet_pipe_pool_limit", .gauge, "Pipes that there may be at once; without a free one a worker does without.")
    public static let pipesRefused = MetricFamily(
        "limpet_pipes_refused_total", .counter, "Times that the kernel gave no pipe.")
    public static let spliceCalls = MetricFamily(
        "limpet_splice_calls_total", .counter, ["result"], "Calls of splice(2), by how they came out.")
    public static let eventLoopLag = MetricFamily(
        "limpet_eventloop_lag_seconds", .gauge, ["worker"],
        "How long the last command to the worker waited until the worker came to it; asked once a second.")
    public static let workerCPU = MetricFamily(
        "limpet_worker_cpu_seconds_total", .counter, ["worker"],
        "Processor time of the worker's thread: its rate is the share of the time that the worker is busy.")
    public static let accessLogDropped = MetricFamily(
        "limpet_access_log_dropped_total", .counter, "Lines of the access log for which there was no room.")
    public static let logDropped = MetricFamily(
        "limpet_log_dropped_total", .counter, "Lines of the log that nobody read in time.")
    public static let nameResolutions = MetricFamily(
        "limpet_name_resolutions_total", .counter, ["result"],
        "Questions to name servers: answered, empty where they are sure that there is nothing, or failed.")
    public static let nameAge = MetricFamily(
        "limpet_name_age_seconds", .gauge, ["name"],
        "Time since the last good answer about a name of backends; none since this engine began, no sample.")
    public static let nameRecords = MetricFamily(
        "limpet_name_records", .gauge, ["name"], "Records of the last good answer about a name of backends.")
    public static let eventsDropped = MetricFamily(
        "limpet_events_dropped_total", .counter,
        "Events that were not sent to one who follows them because it did not read.")

    // MARK: Listeners

    public static let listenerConnections = MetricFamily(
        "limpet_listener_connections", .gauge, ["service", "listener"], "Connections that came by the listener.")
    public static let listenerAccepted = MetricFamily(
        "limpet_listener_accepted_total", .counter, ["service", "listener"], "Connections accepted by the listener.")
    public static let listenerRefused = MetricFamily(
        "limpet_listener_refused_total", .counter, ["service", "listener", "reason"],
        "Clients of the listener that were reset without having been given a backend.")
    public static let listenerAccepting = MetricFamily(
        "limpet_listener_accepting", .gauge, ["service", "listener"],
        "Whether the listener accepts; 0 while it pauses, at a limit for example.")

    // MARK: Services

    public static let serviceBackendsUp = MetricFamily(
        "limpet_service_backends_up", .gauge, ["service"],
        "Backends of the service that take new connections, or would if they were not full.")
    public static let servicePanic = MetricFamily(
        "limpet_service_panic", .gauge, ["service"],
        "1 while no backend of the service is up: new clients are refused, or given to a backend that is down.")

    public static let affinityEntries = MetricFamily(
        "limpet_affinity_entries", .gauge, ["service"],
        "Clients of the service that are remembered; left out where it has no affinity.")
    public static let affinityLimit = MetricFamily(
        "limpet_affinity_limit", .gauge, "Clients that can be remembered, over all services.")
    public static let affinityHits = MetricFamily(
        "limpet_affinity_hits_total", .counter,
        "Connections that went to the backend that was remembered as the client's.")
    public static let affinityMoves = MetricFamily(
        "limpet_affinity_moves_total", .counter,
        "Connections of remembered clients that went to another backend, which is remembered from then on.")
    public static let affinityEvictions = MetricFamily(
        "limpet_affinity_evictions_total", .counter,
        "Clients that were forgotten before their time, to make room for others.")

    // MARK: Backends

    private static let backend = ["service", "backend"]

    public static let backendUp = MetricFamily(
        "limpet_backend_up", .gauge, backend,
        "Whether the backend is well, as far as is known; one without a check counts as well.")
    public static let backendState = MetricFamily(
        "limpet_backend_state", .gauge, backend + ["state"], "1 for the state that the backend is in, 0 for the others."
    )
    public static let backendStateChanges = MetricFamily(
        "limpet_backend_state_changes_total", .counter, backend + ["to"],
        "Changes of the backend's state, by the state that it went to.")
    public static let backendWeight = MetricFamily(
        "limpet_backend_weight", .gauge, backend,
        "Weight in force, an operator's, an agent's and a slow start's share included.")
    public static let backendConnections = MetricFamily(
        "limpet_backend_connections", .gauge, backend, "Connections of the backend, past their connect.")
    public static let backendConnecting = MetricFamily(
        "limpet_backend_connecting", .gauge, backend, "Connects to the backend that are under way.")
    public static let backendAway = MetricFamily(
        "limpet_backend_away", .gauge, backend,
        "Connections of the backend whose clients had their home elsewhere when they were accepted.")
    public static let backendConnectionsLimit = MetricFamily(
        "limpet_backend_connections_limit", .gauge, backend,
        "Connections at which the backend counts as full; left out where there is no limit.")
    public static let backendConnectionsTotal = MetricFamily(
        "limpet_backend_connections_total", .counter, backend, "Connects to the backend that succeeded.")
    public static let backendBytesIn = MetricFamily(
        "limpet_backend_bytes_in_total", .counter, backend, "Bytes from clients to the backend.")
    public static let backendBytesOut = MetricFamily(
        "limpet_backend_bytes_out_total", .counter, backend, "Bytes from the backend to clients.")
    public static let backendConnectFailures = MetricFamily(
        "limpet_backend_connect_failures_total", .counter, backend + ["reason"],
        "Connects to the backend that failed; the reason local is a lack of this machine's.")
    public static let backendConnectDuration = MetricFamily(
        "limpet_backend_connect_duration_seconds", .histogram, backend,
        "What connects to the backend took that succeeded.")
    public static let backendFallbacks = MetricFamily(
        "limpet_backend_fallback_total", .counter, backend,
        "Clients that went on to their next choice because the backend could not be reached.")
    public static let backendCheckDuration = MetricFamily(
        "limpet_backend_check_duration_seconds", .gauge, backend,
        "What the last check of the backend took; left out where none has been made.")
    public static let backendDrainRemaining = MetricFamily(
        "limpet_backend_drain_remaining", .gauge, backend,
        "Connections that a backend in drain has left; 0 where it is not in drain.")
    public static let sourcePorts = MetricFamily(
        "limpet_source_ports", .gauge, ["source"] + backend,
        "Local ports taken by connections to the backend, by the local address they come from; TIME_WAIT is counted in."
    )
    public static let sourcePortsLimit = MetricFamily(
        "limpet_source_ports_limit", .gauge, ["source"] + backend,
        "Local ports that the kernel has for connections from this address to the backend.")

    // MARK: The process

    public static let processCPU = MetricFamily(
        "process_cpu_seconds_total", .counter, "Processor time that the engine has used.")
    public static let processOpenDescriptors = MetricFamily(
        "process_open_fds", .gauge, "Open descriptors; the engine and its keeper share them.")
    public static let processDescriptorLimit = MetricFamily(
        "process_max_fds", .gauge, "Descriptors that may be open at once.")
    public static let processVirtualMemory = MetricFamily(
        "process_virtual_memory_bytes", .gauge, "Virtual memory of the engine.")
    public static let processVirtualMemoryLimit = MetricFamily(
        "process_virtual_memory_max_bytes", .gauge, "Virtual memory that the engine may have; +Inf: no limit.")
    public static let processResidentMemory = MetricFamily(
        "process_resident_memory_bytes", .gauge, "Resident memory of the engine.")
    public static let processStartTime = MetricFamily(
        "process_start_time_seconds", .gauge, "When the engine was started, in seconds since 1970.")

    /// In the order in which they are written.
    public static let all: [MetricFamily] = [
        buildInfo, startTime, ready, configHash, mappingHash, reloads, upgrades, crashes, sandbox, sandboxViolations,
        workers, connections,
        connectionsLimit, connectionsClosed, connectionDuration, descriptorFailures, localFailures, pipePool,
        pipePoolLimit, pipesRefused, spliceCalls, eventLoopLag, workerCPU, accessLogDropped, logDropped,
        nameResolutions, nameAge, nameRecords, eventsDropped,
        listenerConnections, listenerAccepted, listenerRefused, listenerAccepting, serviceBackendsUp, servicePanic,
        affinityEntries, affinityLimit, affinityHits, affinityMoves, affinityEvictions,
        backendUp,
        backendState, backendStateChanges, backendWeight, backendConnections, backendConnecting, backendAway,
        backendConnectionsLimit, backendConnectionsTotal, backendBytesIn, backendBytesOut, backendConnectFailures,
        backendConnectDuration, backendFallbacks, backendCheckDuration, backendDrainRemaining, sourcePorts,
        sourcePortsLimit, processCPU,
        processOpenDescriptors, processDescriptorLimit, processVirtualMemory, processVirtualMemoryLimit,
        processResidentMemory, processStartTime,
    ]
}
