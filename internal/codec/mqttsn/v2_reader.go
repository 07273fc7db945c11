package mqttsn

import "fmt"

// reserved reads flags of which the others than those in meant must be 0.
func (r *reader) reserved(meant byte) byte {
	b := r.uint8("flags")
	if extra := b &^ meant; extra != 0 {
		r.flag(r.off-1, Garbled, Accepted, "", fmt.Sprintf("reserved flags 0x%02x are set", extra))
	}
	return b
}

// reason reads a reason code, which may be left out for success.
func (r *reader) reason() ReasonCode {
	if r.left() == 0 {
		return SuccessV2
	}
	return ReasonCode(r.uint8("reason code"))
}

// prefixed reads bytes behind their length, which has size bytes.
func (r *reader) prefixed(size int, what string) []byte {
	off := r.off
	var n int
	if size == 1 {
		n = int(r.uint8(what))
	} else {
		n = int(r.uint16(what))
	}
	if left := r.left(); !r.ended && left < n {
		r.stop(off, fmt.Sprintf("%s: %d of %d bytes", what, left, n))
	}
	return r.take(n, what)
}

// qos judges a quality of service of two bits.
func (r *reader) qos(off int, q uint8) uint8 {
	if q == 3 {
		r.flag(off, Violation, Accepted, "", "QoS 3")
	}
	return q
}

func appendPrefixed(dst []byte, size int, b []byte) []byte {
	if size == 2 {
		dst = append(dst, byte(len(b)>>8))
	}
	return append(append(dst, byte(len(b))), b...)
}

func fits(t Type, size int, b []byte) error {
	if len(b) >= 1<<(8*size) {
		return fmt.Errorf("append %v: a field of %d bytes: %w", t, len(b), ErrTooLong)
	}
	return nil
}
