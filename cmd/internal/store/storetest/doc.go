// Package storetest has the three shapes of store that the program uses, each as
// its full contract and a suite that every implementation must pass: files,
// memory, and stores that several machines share. A consumer declares the part of a
// shape that it uses.
package storetest
