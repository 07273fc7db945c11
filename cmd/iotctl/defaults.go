package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Default options come from a file per program: mosquitto_pub, mosquitto_sub
// and mosquitto_rr in $XDG_CONFIG_HOME or $HOME/.config for those names, and
// pub, sub and rr in the directory iotctl there for our own. Each line is an
// option as on the command line; all behind the first blank is its value. A
// line that begins with # is a comment.

// fileDefaults is what the file of a command says.
func fileDefaults(p program, options []*option) ([]assignment, error) {
	path := configPath("iotctl", p.group())
	if path == "" {
		return nil, nil
	}
	lines, err := readDefaults(path)
	if err != nil {
		return nil, err
	}
	group := options
	if p&progRetained != 0 {
		group = optionsFor(progRetained, false) // retained ls and so on share a file
	}
	var all []assignment
	for _, l := range lines {
		a, err := ownDefault(group, l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.origin, err)
		}
		if o := findOption(options, "--"+a.option.long); o != nil {
			a.option = o
			all = append(all, a)
		}
	}
	return all, nil
}

// ownDefault reads a line: blanks around it do not count, --option=value
// works, and the words of -D may be quoted.
func ownDefault(options []*option, l defaultLine) (assignment, error) {
	word, value, hasValue := strings.Cut(strings.TrimSpace(l.text), " ")
	if name, v, ok := strings.Cut(word, "="); ok && !hasValue {
		word, value, hasValue = name, v, true
	}
	value = strings.TrimSpace(value)
	o := findOption(options, word)
	switch {
	case o == nil:
		return assignment{}, fmt.Errorf("unknown option %q", word)
	case o.arg == "" && hasValue:
		return assignment{}, fmt.Errorf("option %s takes no value", word)
	case o.arg != "" && !hasValue:
		return assignment{}, fmt.Errorf("option %s needs a value", word)
	}
	value, err := o.oneWord(value)
	return assignment{option: o, value: value, origin: l.origin}, err
}

type defaultLine struct {
	text   string
	origin string
}

// readDefaults returns the lines that are neither empty nor comments; none if
// there is no such file.
func readDefaults(path string) ([]defaultLine, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("default options: %w", err)
	}
	var lines []defaultLine
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) != "" && line[0] != '#' {
			lines = append(lines, defaultLine{line, fmt.Sprintf("%s:%d", path, n)})
		}
	}
	return lines, nil
}

// configPath joins path to the user's configuration directory; "" when there
// is none.
func configPath(path ...string) string {
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(append([]string{dir}, path...)...)
	}
	if runtime.GOOS == "windows" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return ""
		}
		return filepath.Join(append([]string{dir}, path...)...)
	}
	if dir := os.Getenv("HOME"); dir != "" {
		return filepath.Join(append([]string{dir, ".config"}, path...)...)
	}
	return ""
}
