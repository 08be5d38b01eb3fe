import Backends
import CLayout
import Configuration
import Control
import Forwarding
import Linux
import Logging

/// The first intents of the region's slots: those that the state directory has kept. Before the workers start, so that
/// none of them takes a connection to a backend that is drained.
struct IntentRestore {
    /// The file's place.
    static func path(in stateDirectory: String) -> String { stateDirectory + "/intent.json" }

    let path: String
    let log: Logger

    /// Gives every backend that has none yet its intent. An engine that takes over finds that all have one, and does not
    /// look at the file: the region is newer.
    func run(_ topology: Topology, _ region: SharedRegion) {
        let fresh = topology.backends.indices.filter {
            topology.backends[$0].isLive && limpet_load8(&region.backend($0).pointee.state) == 0
        }
        guard !fresh.isEmpty else { return }
        let merge = IntentMerge(
            read(),
            onto: fresh.map { slot in
                let backend = topology.backends[slot]
                return IntentMerge.Configured(
                    service: backend.serviceName, backend: backend.configuration.name,
                    weight: backend.configuration.weight)
            })
        for (slot, set) in zip(fresh, merge.holding) {
            region.setOperatorIntent(set, slot)
            let state = BackendState(intent: set.intent, health: region.health(slot), isFull: false, connections: 0)
            // What an operator asked for has lasted since then, whatever the daemon did meanwhile.
            limpet_publish64(
                &region.backend(slot).pointee.since, set.intent == .maintenance ? set.intentSince : Clock.wall())
            limpet_publish8(&region.backend(slot).pointee.state, state.rawValue)
        }
        report(merge, topology, fresh)
    }

    private func report(_ merge: IntentMerge, _ topology: Topology, _ fresh: [Int]) {
        for (slot, set) in zip(fresh, merge.holding) where !set.isEmpty {
            var metadata: Logger.Metadata = ["backend": "\(topology.fullName(slot))"]
            if set.intent != .ready {
                metadata["intent"] = "\(set.intent.word)"
                metadata["since"] = "\(Timestamp(nanoseconds: set.intentSince))"
            }
            if let weight = set.weight { metadata["weight"] = "\(weight.value)" }
            log.notice("in force as an operator had set it", metadata: metadata)
        }
        for beaten in merge.beaten {
            log.notice(
                "the weight that an operator had set gives way to the configuration's",
                metadata: [
                    "backend": "\(topology.fullName(fresh[beaten.position]))", "set": "\(beaten.weight.value)",
                    "configured_then": "\(beaten.weight.base)",
                    "configured": "\(topology.backends[fresh[beaten.position]].configuration.weight)",
                ])
        }
        for entry in merge.forgotten {
            log.notice(
                "what an operator had set is forgotten: the configuration has no such backend",
                metadata: ["backend": "\(entry.service)/\(entry.backend)"])
        }
    }

    /// What was kept. What cannot be used is set aside, and the daemon starts without.
    private func read() -> [NamedIntent] {
        let reason: String
        do throws(SystemError) {
            guard let bytes = try DurableFile.read(path, limit: IntentFile.limit) else { return [] }
            do throws(IntentFileError) {
                return try IntentFile.read(bytes)
            } catch {
                reason = "\(path) \(error)"
            }
        } catch {
            reason = "\(error)"
        }
        let time = String(Timestamp.now.description.filter { $0 != ":" })
        let aside = "\(path).damaged-\(time)"
        let fate =
            PathEntry.rename(path, to: aside).map { "it cannot be set aside (\($0))" } ?? "it was set aside as \(aside)"
        log.warning(
            """
            \(reason); \(fate); drains, maintenance and weights that were set before are not in force: set them again \
            with limpetctl
            """)
        return []
    }
}
