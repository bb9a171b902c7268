//go:build !unix

package check

import "io/fs"

func asWhom(fs.FileInfo) string { return "" }
