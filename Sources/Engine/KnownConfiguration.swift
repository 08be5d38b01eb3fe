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
