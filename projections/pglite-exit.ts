/** The exit code with which the embedded database says that its folder cannot be used. */
export const damaged_exit = 3;
