public import Addressing

/// The header of the PROXY protocol, which tells a backend who its client is
/// (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, sections 2.1 and 2.2). Pure; any thread may call it.
public enum ProxyHeader {
    public enum Version: UInt8, Sendable {
        /// A line of text.
        case v1 = 1
        /// Binary.
        case v2 = 2
    }

    /// Bytes of the longest header without additions; the protocol's own bound for version 1.
    public static let longest = 107

    /// Bytes of the longest header with all additions: those of a header that was received, and our own.
    public static let longestWithAdditions = longestReceived + 128

    /// What a header of version 2 says beside the addresses, in fields of type, length and value.
    public struct Additions {
        /// PP2_TYPE_UNIQUE_ID: which daemon, and which of its connections; nil: it is not said.
        public var uniqueID: (daemon: UInt64, connection: UInt64)?
        /// PP2_TYPE_CRC32C.
        public var hasChecksum = false
        /// Fields of a header that was received, well-formed, to be passed on as they are. A checksum among them is left out,
        /// because it was another header's; and so is a unique id where there is one of our own.
        public var received: UnsafeRawBufferPointer?

        public init() {}
    }

    /// Writes the header of a TCP connection and returns its length in bytes. Allocates nothing.
    ///
    /// An IPv4 address inside an IPv6 one counts as IPv4. Where the two ends are of different families all the same, the
    /// IPv4 one is written inside IPv6. Where an end is not known the header says that nothing is: `UNKNOWN` in version 1,
    /// the command LOCAL in version 2; a backend then takes the addresses of its own socket.
    /// - Parameters:
    ///   - client: where the connection comes from.
    ///   - local: where it was accepted.
    ///   - additions: of version 2.
    ///   - buffer: at least ``longest`` bytes; with additions ``longestWithAdditions``.
    public static func write(
        _ version: Version, client: Endpoint?, local: Endpoint?, additions: Additions? = nil,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(buffer.count >= (additions == nil ? longest : longestWithAdditions))
        var output = Output(buffer: buffer)
        // A user has no address that a header could say.
        let named = client.flatMap { $0.address.family == .user ? nil : $0 }
        let ends = named.flatMap { client in local.map { Ends(client, $0) } }
        switch version {
        case .v1: writeText(ends, to: &output)
        case .v2:
            writeBinary(ends, to: &output)
            if let additions { write(additions, to: &output) }
        }
        return output.count
    }

    /// Both ends, in one family.
    private struct Ends {
        let source: Endpoint
        let target: Endpoint
        let isV4: Bool

        init(_ source: Endpoint, _ target: Endpoint) {
            let (from, to) = (source.address.unmapped, target.address.unmapped)
            isV4 = from.family == .v4 && to.family == .v4
            self.source = Endpoint(address: isV4 ? from : from.mapped, port: source.port)
            self.target = Endpoint(address: isV4 ? to : to.mapped, port: target.port)
        }
    }

    // MARK: Version 1

    private static func writeText(_ ends: Ends?, to output: inout Output) {
        guard let ends else {
            output.add("PROXY UNKNOWN\r\n")
            return
        }
        output.add(ends.isV4 ? "PROXY TCP4 " : "PROXY TCP6 ")
        output.addText(ends.source.address)
        output.add(UInt8(ascii: " "))
        output.addText(ends.target.address)
        output.add(UInt8(ascii: " "))
        output.addDecimal(ends.source.port)
        output.add(UInt8(ascii: " "))
        output.addDecimal(ends.target.port)
        output.add("\r\n")
    }

    // MARK: Version 2

    private static func writeBinary(_ ends: Ends?, to output: inout Output) {
        output.add(binarySignature)
        guard let ends else {
            // Version 2 and LOCAL; neither family nor transport; no addresses.
            output.add(0x20)
            output.add(0x00)
            output.addWord(0)
            return
        }
        // Version 2 and PROXY; AF_INET or AF_INET6 over STREAM; bytes of the addresses.
        output.add(0x21)
        output.add(ends.isV4 ? 0x11 : 0x21)
        output.addWord(ends.isV4 ? 12 : 36)
        output.addBytes(ends.source.address)
        output.addBytes(ends.target.address)
        output.addWord(ends.source.port)
        output.addWord(ends.target.port)
    }

    private static func write(_ additions: Additions, to output: inout Output) {
        let start = output.count
        if let received = additions.received {
            var position = 0
            while position < received.count {
                let length = 3 + Int(word(received, position + 1))
                let type = received[position]
                if type != checksumField, type != uniqueIDField || additions.uniqueID == nil {
                    for index in position..<(position + length) { output.add(received[index]) }
                }
                position += length
            }
        }
        if let id = additions.uniqueID {
            output.add(uniqueIDField)
            let length = output.count
            output.addWord(0)
            output.addHexadecimal(id.daemon)
            output.add(UInt8(ascii: "-"))
            output.addHexadecimal(id.connection)
            output.setWord(UInt16(output.count - length - 2), at: length)
        }
        var checksum: Int?
        if additions.hasChecksum {
            output.add(checksumField)
            output.addWord(4)
            checksum = output.count
            output.addWord(0)
            output.addWord(0)
        }
        let lengthPlace = 14
        let header = UnsafeRawBufferPointer(rebasing: output.buffer[..<output.count])
        output.setWord(word(header, lengthPlace) + UInt16(output.count - start), at: lengthPlace)
        if let checksum {
            let value = CRC32C.of(header, zeroing: 0..<0)
            output.setWord(UInt16(value >> 16), at: checksum)
            output.setWord(UInt16(truncatingIfNeeded: value), at: checksum + 2)
        }
    }

    // MARK: Bytes

    private struct Output {
        let buffer: UnsafeMutableRawBufferPointer
        var count = 0

        mutating func add(_ byte: UInt8) {
            buffer[count] = byte
            count += 1
        }

        mutating func add(_ text: StaticString) {
            for index in 0..<text.utf8CodeUnitCount { add(text.utf8Start[index]) }
        }

        mutating func addWord(_ value: UInt16) {
            add(UInt8(value >> 8))
            add(UInt8(truncatingIfNeeded: value))
        }

        func setWord(_ value: UInt16, at place: Int) {
            buffer[place] = UInt8(value >> 8)
            buffer[place + 1] = UInt8(truncatingIfNeeded: value)
        }

        mutating func addBytes(_ address: IPAddress) {
            if address.family == .v6 { addBytes(address.high, 8) }
            addBytes(address.low, address.family == .v6 ? 8 : 4)
        }

        private mutating func addBytes(_ value: UInt64, _ count: Int) {
            for index in 1...count { add(UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - index)))) }
        }

        mutating func addDecimal(_ value: UInt16) {
            var divisor: UInt16 = 10_000
            while divisor > 1 && value < divisor { divisor /= 10 }
            while divisor > 0 {
                add(UInt8(ascii: "0") + UInt8(value / divisor % 10))
                divisor /= 10
            }
        }

        mutating func addText(_ address: IPAddress) {
            if address.family == .v6 { return addGroups(address) }
            for index in 0..<4 {
                if index > 0 { add(UInt8(ascii: ".")) }
                addDecimal(UInt16(address.low >> UInt64(24 - 8 * index) & 255))
            }
        }

        /// RFC 5952: hexadecimal groups without leading zeros, `::` for the first of the longest runs of zeros.
        private mutating func addGroups(_ address: IPAddress) {
            var (gap, gapLength, start) = (8, 1, 0)
            while start < 8 {
                var end = start
                while end < 8 && address.group(end) == 0 { end += 1 }
                if end - start > gapLength { (gap, gapLength) = (start, end - start) }
                start = max(end, start + 1)
            }
            var index = 0
            while index < 8 {
                if index == gap {
                    add("::")
                    index += gapLength
                    continue
                }
                if index > 0 && index != gap + gapLength { add(UInt8(ascii: ":")) }
                addHexadecimal(UInt64(address.group(index)))
                index += 1
            }
        }

        mutating func addHexadecimal(_ value: UInt64) {
            var shift: UInt64 = 60
            while shift > 0 && value >> shift == 0 { shift -= 4 }
            while true {
                let digit = UInt8(value >> shift & 15)
                add(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
                if shift == 0 { return }
                shift -= 4
            }
        }
    }
}

extension IPAddress {
    /// The IPv4-mapped IPv6 address of an IPv4 one; any other address as it is.
    fileprivate var mapped: IPAddress { family == .v4 ? IPAddress(v6High: 0, low: 0xffff << 32 | low) : self }

    /// One of the eight groups of an IPv6 address, from the left.
    fileprivate func group(_ index: Int) -> UInt16 {
        UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index & 3)))
    }
}
