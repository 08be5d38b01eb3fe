import Addressing

extension ConfigurationRules {
    /// Who comes by a Unix socket is a user, and in no network: what networks decide counts for nobody where there are no
    /// other listeners.
    func checkNetworks(_ service: ServiceConfiguration, _ place: [String]) {
        guard !service.listeners.isEmpty, service.listeners.allSatisfy(\.address.isUnix) else { return }
        let given = [
            (ConfigurationKeys.acceptProxy, service.acceptProxy.isEmpty),
            (ConfigurationKeys.allow, service.access.allow.isEmpty),
            (ConfigurationKeys.deny, service.access.deny.isEmpty),
        ]
        for (key, isEmpty) in given where !isEmpty {
            findings.warn(
                place,
                "\"\(key.name)\" counts for nobody: all listeners are Unix sockets, and who comes by one is in no network"
            )
        }
    }
}
