/// The keys of who may use the control socket.
extension ConfigurationKeys {
    public static let controlReadGroup = ConfigurationKey(
        name: "control-read-group", section: .daemon, kind: .group, defaultText: "the daemon's", hasFlag: false,
        summary: "Group whose members may see by the control socket what the daemon does.")
    public static let controlAdminGroup = ConfigurationKey(
        name: "control-admin-group", section: .daemon, kind: .group, defaultText: "no group", hasFlag: false,
        summary: "Group whose members may also tell the daemon what to do.")
}

extension TableReader {
    /// Reads who may use the control socket.
    func readControl(into configuration: inout DaemonConfiguration) {
        read(ConfigurationKeys.controlReadGroup, into: &configuration.controlReadGroup)
        read(ConfigurationKeys.controlAdminGroup, into: &configuration.controlAdminGroup)
    }
}

extension DaemonConfiguration {
    /// What depends on the machine, and was not given, stays out.
    var controlSettings: [Setting] {
        [
            controlReadGroup.map { Setting(ConfigurationKeys.controlReadGroup, $0) },
            controlAdminGroup.map { Setting(ConfigurationKeys.controlAdminGroup, $0) },
        ].compactMap { $0 }
    }
}
