package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// clockTicks is in which units the kernel counts processor time: 100 a second on
// every Linux that Go runs on.
const clockTicks = 100

// processorTime is what all processes of a group have used so far.
func processorTime(group int) (time.Duration, error) {
	ticks := 0
	err := eachOf(group, func(fields [][]byte) error {
		for _, field := range fields[11:13] { // utime and stime
			n, err := strconv.Atoi(string(field))
			if err != nil {
				return err
			}
			ticks += n
		}
		return nil
	})
	return time.Duration(ticks) * time.Second / clockTicks, err
}

// residentMemory is the sum over all processes of a group, in bytes.
func residentMemory(group int) (int, error) {
	pages := 0
	err := eachOf(group, func(fields [][]byte) error {
		n, err := strconv.Atoi(string(fields[21]))
		pages += n
		return err
	})
	return pages * os.Getpagesize(), err
}

// eachOf calls f with the fields of /proc/PID/stat behind the name, for every process of a group.
func eachOf(group int, f func(fields [][]byte) error) error {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	found := false
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The name stands in parentheses and may hold anything.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) < 22 || string(fields[2]) != strconv.Itoa(group) {
			continue
		}
		found = true
		if err := f(fields); err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
	}
	if !found {
		return fmt.Errorf("no process of group %d is left", group)
	}
	return nil
}
