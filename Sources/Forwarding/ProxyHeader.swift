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

    /// Bytes of the longest header that ``write(_:client:local:into:)`` makes; the protocol's own bound for version 1.
    public static let longest = 107

    /// Writes the header of a TCP connection and returns its length in bytes. Allocates nothing.
    ///
    /// An IPv4 address inside an IPv6 one counts as IPv4. Where the two ends are of different families all the same, the
    /// IPv4 one is written inside IPv6. Where an end is not known the header says that nothing is: `UNKNOWN` in version 1,
    /// the command LOCAL in version 2; a backend then takes the addresses of its own socket.
    /// - Parameters:
    ///   - client: where the connection comes from.
    ///   - local: where it was accepted.
    ///   - buffer: at least ``longest`` bytes.
    public static func write(
        _ version: Version, client: Endpoint?, local: Endpoint?, into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(buffer.count >= longest)
        var output = Output(buffer: buffer)
        let ends = client.flatMap { client in local.map { Ends(client, $0) } }
        switch version {
        case .v1: writeText(ends, to: &output)
        case .v2: writeBinary(ends, to: &output)
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
        output.add("\r\n\r\n\0\r\nQUIT\n")
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
                addHexadecimal(address.group(index))
                index += 1
            }
        }

        private mutating func addHexadecimal(_ value: UInt16) {
            var shift: UInt16 = 12
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
