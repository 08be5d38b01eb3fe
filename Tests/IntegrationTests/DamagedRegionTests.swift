import Foundation
import Testing

/// What an engine finds in the shared memory is not as it should be.
@Suite(.ownThread, .fence)
struct DamagedRegionTests {
    /// The files in memory that a daemon has under a name.
    private func files(_ name: String, of daemon: Daemon) throws -> [FileHandle] {
        let directory = "/proc/\(daemon.pid)/fd"
        return try FileManager.default.contentsOfDirectory(atPath: directory).map { "\(directory)/\($0)" }.filter {
            try FileManager.default.destinationOfSymbolicLink(atPath: $0).hasPrefix("/memfd:\(name) ")
        }.map { try #require(FileHandle(forUpdatingAtPath: $0)) }
    }

    /// A reload that a death has cut short had exchanged the document, and not the limit yet.
    @Test func theLimitIsTheConfigurations() throws {
        let lane = try Lane(["--max-connections", "77"])
        let talk = try Talk(lane)
        // limpet_shared_header.limit
        let region = try #require(try files("limpet", of: lane.daemon).first)
        try region.seek(toOffset: 48)
        try #require(try region.read(upToCount: 8) == Data([77, 0, 0, 0, 0, 0, 0, 0]))
        try region.seek(toOffset: 48)
        try region.write(contentsOf: Data([9]))
        #expect(try lane.daemon.ctl.status().maxConnections == 9)
        let engine = try lane.daemon.enginePID
        kill(engine, SIGKILL)
        #expect(try lane.daemon.nextEngine(after: engine).maxConnections == 77)
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    /// Connections wait for an engine that can read what it is to serve, and the log says what it cannot read.
    @Test func aDocumentThatCannotBeRead() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        try talk.exchange()
        let documents = try files("limpet-document", of: lane.daemon)
        let texts = try documents.map { file in
            let text = try file.readToEnd() ?? Data()
            try file.seek(toOffset: 0)
            try file.write(contentsOf: Data(repeating: 0x58, count: text.count))
            return text
        }
        let engine = try lane.daemon.enginePID
        kill(engine, SIGKILL)
        try eventually("the log says what cannot be read") {
            !lane.daemon.logLines(containing: "critical", "active configuration", "cannot be read").isEmpty
        }
        for (file, text) in zip(documents, texts) {
            try file.seek(toOffset: 0)
            try file.write(contentsOf: text)
        }
        try talk.exchange()
        let status = try lane.daemon.nextEngine(after: engine)
        try talk.close()
        try lane.daemon.waitUntilIdle()
        kill(status.pid, SIGTERM)
        try eventually("all of it has ended") { lane.daemon.process.group.isEmpty }
    }
}
