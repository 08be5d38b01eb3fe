import Addressing
import Foundation
import Stickiness
import Testing

/// The published answers of version 1; Vectors/README.md says how another implementation checks itself against them.
@Suite struct GoldenVectorTests {
    struct Vector: Sendable, CustomTestStringConvertible {
        let key: HashKey
        let address: IPAddress
        let port: UInt16?
        let mask: SourceMask
        let members: [Rendezvous.Member]
        let order: [String]
        let line: Int

        var testDescription: String { "line \(line)" }
    }

    enum Malformed: Error {
        case line(Int)
    }

    static func read() throws -> [Vector] {
        let file = try #require(
            Bundle.module.url(forResource: "vectors-v1", withExtension: "tsv", subdirectory: "Vectors"))
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").enumerated().map { number, line in
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard fields.count == 7, let key = HashKey(hexadecimal: fields[0]), let address = IPAddress(fields[1]),
                fields[2] == "-" || UInt16(fields[2]) != nil, let ipv4 = Int(fields[3]), let ipv6 = Int(fields[4])
            else { throw Malformed.line(number + 1) }
            let members = try fields[5].split(separator: ",").map { member in
                let parts = member.split(separator: "=")
                guard parts.count == 2, let weight = Double(parts[1]) else { throw Malformed.line(number + 1) }
                return Rendezvous.Member(name: String(parts[0]), weight: weight)
            }
            return Vector(
                key: key, address: address, port: UInt16(fields[2]), mask: SourceMask(ipv4: ipv4, ipv6: ipv6),
                members: members, order: fields[6].split(separator: ",").map(String.init), line: number + 1)
        }
    }

    @Test func all300OrdersAgree() throws {
        let vectors = try GoldenVectorTests.read()
        #expect(vectors.count == 300)
        for vector in vectors {
            let keyer = SourceKeyer(
                key: vector.key, mask: vector.mask, input: vector.port == nil ? .source : .sourcePort)
            // Without a port in the key, whatever port the client has must not matter.
            let sourceKey = keyer.key(for: vector.address, port: vector.port ?? UInt16(vector.line))
            let rendezvous = Rendezvous(key: vector.key, members: vector.members)
            let order = rendezvous.preferenceOrder(of: sourceKey).map { vector.members[$0].name }
            #expect(order == vector.order, "line \(vector.line)")
            #expect(rendezvous.first(of: sourceKey).map { vector.members[$0].name } == vector.order.first)
        }
    }

    /// What is left after each member is what follows it.
    @Test func ordersContinueAfterAnyMember() throws {
        for vector in try GoldenVectorTests.read().prefix(60) {
            let keyer = SourceKeyer(
                key: vector.key, mask: vector.mask, input: vector.port == nil ? .source : .sourcePort)
            let sourceKey = keyer.key(for: vector.address, port: vector.port ?? 0)
            let rendezvous = Rendezvous(key: vector.key, members: vector.members)
            for (place, name) in vector.order.enumerated() {
                let member = try #require(vector.members.firstIndex { $0.name == name })
                let rest = rendezvous.preferenceOrder(of: sourceKey, after: member).map { vector.members[$0].name }
                #expect(rest == vector.order[(place + 1)...].map { $0 }, "line \(vector.line) after \(name)")
            }
        }
    }
}
