package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/auth"
)

// The topics that somebody has typed are remembered, so that shells can complete them:
// one to a line, behind the broker and a tabulator, the last at the end. Programs leave
// no traces: only clients with a terminal on both sides do, and none of mosquitto's
// name.

const (
	historyVariable = "IOTCTL_HISTORY"
	// maxHistoryBytes bounds the file; half of it goes when it is full.
	maxHistoryBytes = 64 << 10
)

// historyFile is "" when there is none.
func historyFile() string {
	if v := os.Getenv(historyVariable); v == "off" || v == "false" || v == "0" {
		return ""
	}
	dir := userStateDir()
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "topics")
}

// history is the content of the file, the last topic at the end.
type history []string

func readHistory() history {
	name := historyFile()
	if name == "" {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 2*maxHistoryBytes))
	if err != nil {
		return nil
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}

// topics lists the latest first: those at broker, and if there are none, or broker is
// "", all.
func (h history) topics(broker string) []string {
	var there, all []string
	for _, line := range slices.Backward(h) {
		at, topic, ok := strings.Cut(line, "\t")
		if !ok || slices.Contains(all, topic) {
			continue
		}
		all = append(all, topic)
		if at == broker {
			there = append(there, topic)
		}
	}
	if len(there) > 0 {
		return there
	}
	return all
}

// remember adds the topics of a run that reached its broker.
func (s *settings) remember(t *terminal, err error) {
	if !t.inTTY || !t.outTTY || len(s.topics) == 0 {
		return
	}
	switch codeOf(err) {
	case exitUsage, exitConnect, exitRefused:
		return
	}
	name := historyFile()
	if name == "" {
		return
	}
	h := readHistory()
	var added []string
	for _, topic := range s.topics {
		line := s.brokerName() + "\t" + topic
		if strings.ContainsAny(topic, "\t\n\r") || slices.Contains(h, line) || slices.Contains(added, line) {
			continue
		}
		added = append(added, line)
	}
	_ = h.add(name, added) // a convenience: nobody is told that it is not there
}

// add writes lines behind what there is.
func (h history) add(name string, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	text := strings.Join(lines, "\n") + "\n"
	if len(text) > maxHistoryBytes/2 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	size := 0
	for _, line := range h {
		size += len(line) + 1
	}
	if size+len(text) > maxHistoryBytes {
		for size > maxHistoryBytes/2 {
			size -= len(h[0]) + 1
			h = h[1:]
		}
		kept := ""
		if len(h) > 0 {
			kept = strings.Join(h, "\n") + "\n"
		}
		return auth.ReplaceFile(name, []byte(kept+text), nil)
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
