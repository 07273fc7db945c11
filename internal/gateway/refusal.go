package gateway

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// refusalPause is how often a connection may tell the log of what it is refused.
const refusalPause = time.Minute

// refusals keeps a client that is refused a thousand messages from filling the
// log: one line says so, and those that follow are counted for the next.
type refusals struct {
	told  time.Time // when the last line was written
	since int       // refused without a line
}

// Refused logs that what, a publish or a subscription, is refused on topic: at
// info once in refusalPause, and at debug otherwise.
func (c *Conn) Refused(what, topic string, err error) {
	if c.refusals == nil {
		c.refusals = new(refusals)
	}
	level, more := slog.LevelDebug, c.refusals.since
	if c.refusals.told.IsZero() || c.lastRead.Sub(c.refusals.told) >= refusalPause {
		level = slog.LevelInfo
		*c.refusals = refusals{told: c.lastRead}
	} else {
		c.refusals.since++
	}
	if !c.s.cfg.Logger.Enabled(context.Background(), level) {
		return
	}
	c.Log().Log(context.Background(), level, "request refused", "what", what, "topic", Clip(topic), "err", err, "more_before", more)
}

// tellRefusals logs at the end of a connection what no line has told.
func (c *Conn) tellRefusals() {
	if c.refusals != nil && c.refusals.since > 0 {
		c.Log().Info("more was refused", "count", c.refusals.since)
	}
}

// Clip bounds a text that quotes outside input.
func Clip(s string) string {
	const most = 256
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most-3], "") + "..."
	}
	return s
}
