package serve

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
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

// Level is slog.Level with names of its own: debug, info, warn and error.
type Level slog.Level

// String is the name.
func (l Level) String() string { return strings.ToLower(slog.Level(l).String()) }

// UnmarshalText reads the name.
func (l *Level) UnmarshalText(b []byte) error {
	for _, known := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if string(b) == Level(known).String() {
			*l = Level(known)
			return nil
		}
	}
	return fmt.Errorf("%q is none of debug, info, warn, error", b)
}
