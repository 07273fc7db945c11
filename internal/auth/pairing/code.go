package pairing

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
)

// newCode returns a code that is not taken: "48-21", or more pairs of digits
// where many of the short ones are.
func newCode(taken func(string) bool) string {
	for tries := 0; ; tries++ {
		var b [8]byte
		rand.Read(b[:]) // never fails
		n := binary.BigEndian.Uint64(b[:])
		code := fmt.Sprintf("%02d-%02d", n/100%100, n%100)
		for more := tries / 8; more > 0; more-- {
			n /= 10000
			code += fmt.Sprintf("-%02d", n%100)
		}
		if !taken(code) {
			return code
		}
	}
}

// IsCode reports whether s has the form of a code.
func IsCode(s string) bool {
	pairs := strings.Split(s, "-")
	for _, p := range pairs {
		if len(p) != 2 || p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9' {
			return false
		}
	}
	return len(pairs) > 1
}
