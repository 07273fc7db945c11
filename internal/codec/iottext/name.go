package iottext

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest name of a variable or a device, in bytes.
const MaxName = 128

// CheckName tells why name cannot be that of a variable or a device: it has to
// be one level of a topic, and a file name on any system. nil: it can.
func CheckName(name []byte) error {
	switch {
	case len(name) == 0:
		return badName("is empty")
	case len(name) > MaxName:
		return badName("is longer than %d bytes", MaxName)
	case !utf8.Valid(name):
		return badName("%q is not UTF-8", clip(name))
	case string(name) == "." || string(name) == "..":
		return badName("%q is a directory", clip(name))
	case name[0] == '$':
		return badName("%q begins with a dollar sign", clip(name))
	case name[0] == ' ' || name[len(name)-1] == ' ':
		return badName("%q has a space at one end", clip(name))
	}
	for _, r := range string(name) {
		if !fits(r) {
			return badName("%q holds %q", clip(name), r)
		}
	}
	return nil
}

func badName(format string, args ...any) error { return fmt.Errorf("the name "+format, args...) }

// fits reports whether a name may hold r.
func fits(r rune) bool {
	switch r {
	case '/', '\\', '+', '#', utf8.RuneError:
		return false
	}
	return unicode.IsPrint(r)
}

// SafeName appends the name that comes nearest to id, which may be the client
// identifier of any protocol: what no name holds becomes an underscore, and it
// is cut to MaxName.
func SafeName(dst []byte, id string) []byte {
	from := len(dst)
	for _, r := range id {
		if !fits(r) {
			r = '_'
		}
		if len(dst)-from+utf8.RuneLen(r) > MaxName {
			break
		}
		dst = utf8.AppendRune(dst, r)
	}
	name := dst[from:]
	if len(name) == 0 {
		return append(dst, '_')
	}
	if last := &name[len(name)-1]; *last == ' ' {
		*last = '_'
	}
	if CheckName(name) != nil { // for what it begins with, which is ASCII
		name[0] = '_'
	}
	return dst
}
