package serve

import (
	"fmt"
	"io"
	"log/slog"
)

// Format is how log lines look.
type Format uint8

// Formats. Both quote what clients have sent.
const (
	Text Format = iota // key=value
	JSON
)

var formatNames = [...]string{"text", "json"}

// String is the name in configuration files.
func (f Format) String() string { return formatNames[f] }

// UnmarshalText reads such a name.
func (f *Format) UnmarshalText(b []byte) error {
	for i, name := range formatNames {
		if string(b) == name {
			*f = Format(i)
			return nil
		}
	}
	return fmt.Errorf("%q is neither text nor json", b)
}

// NewLogger returns a logger that writes to w. level may change later.
func NewLogger(w io.Writer, f Format, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if f == JSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
