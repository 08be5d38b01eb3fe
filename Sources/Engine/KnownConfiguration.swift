import Configuration
import Continuity
import Forwarding

/// The active configuration as a process has read it, with the text that it was read from. A keeper hands on to each engine
/// what it knows, so that nothing has to be parsed while clients wait, unless a reload has changed it since.
public struct KnownConfiguration: Sendable {
    private let text: [UInt8]
    let active: ActiveConfiguration
    let configuration: DaemonConfiguration

    /// Reads the one that counts.
    /// - Parameter known: what was read before, which is taken as it is if the text is the same.
    init(_ region: SharedRegion, known: KnownConfiguration? = nil) throws(StartError) {
        let text = try ActiveConfiguration.text(region)
        if let known, known.text == text {
            self = known
            return
        }
        self.text = text
        active = try ActiveConfiguration.decode(text)
        configuration = try active.parsed()
    }
}

/// The keeper's ``KnownConfiguration``. An engine has a copy of what is in it when it is cloned.
///
/// Not locked, on purpose: a lock that the keeper has used is one that no thread of an engine can trust.
public final class KeptKnowledge: @unchecked Sendable {
    private let region: SharedRegion
    /// The keeper's only thread writes it; an engine's first thread reads its copy.
    public private(set) var known: KnownConfiguration?

    init(_ region: SharedRegion) {
        self.region = region
    }

    /// Reads what counts now, unless that is known. For the keeper's only thread.
    /// - Returns: nil: it cannot be read. Engines say why.
    @discardableResult
    func read() -> KnownConfiguration? {
        if let current = try? KnownConfiguration(region, known: known) { known = current }
        return known
    }
}
