import Foundation

/// The units of etc/systemd as an installation has them.
struct UnitFile {
    static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path
    /// Executes what follows under the system-call filters of a unit, as systemd would.
    static func filter(_ unit: String) -> [String] {
        ["python3", "\(repository)/Tests/Scenes/systemd_filter.py", unit]
    }

    /// All tests that start a daemon as it is do so under the filters of this unit: $LIMPET_UNIT.
    static let everywhere = ProcessInfo.processInfo.environment["LIMPET_UNIT"].map(filter) ?? []

    /// Whether there is a systemd-analyze: part of the package, whether the machine runs systemd or not.
    static let canBeAnalysed = ((try? run(["systemd-analyze", "--version"]))?.status ?? 1) == 0

    let text: String
    let path: String

    /// - Parameters:
    ///   - name: such as `limpet.service`.
    ///   - directory: where it is written, with the programs beside it, in `sbin`.
    init(_ name: String, in directory: String) throws {
        let sbin = "\(directory)/sbin"
        try FileManager.default.createDirectory(atPath: sbin, withIntermediateDirectories: true)
        for (program, place) in [("limpetd", Programs.limpetd), ("limpetctl", Programs.limpetctl)] {
            try? FileManager.default.createSymbolicLink(atPath: "\(sbin)/\(program)", withDestinationPath: place)
        }
        text = try String(contentsOfFile: "\(UnitFile.repository)/etc/systemd/\(name).in", encoding: .utf8)
            .replacing("@sbindir@", with: sbin).replacing("@sysconfdir@", with: "/etc")
        path = "\(directory)/\(name)"
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    }

    /// The words of a setting that stands there once.
    func words(_ setting: String) -> [String] {
        let line = text.split(separator: "\n").first { $0.hasPrefix("\(setting)=") } ?? ""
        return line.dropFirst(setting.count + 1).split(separator: " ").map(String.init)
    }
}
