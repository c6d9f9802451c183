import type { RowGroup } from "./protocol.js";

/** Size of a piece, decoded. */
export const PIECE_BYTES = 8 * 2 ** 20;
/** A piece so many times larger than planned is the last of its size. */
const OVERSIZE = 2;
const MAX_PIECE_ROWS = 8192;

export interface PlacedRowGroup extends RowGroup {
  readonly index: number;
  /** Row of the file that is its first. */
  readonly start: number;
}

/** Rows `[start, start + rowCount)` of a row group. */
export interface Piece {
  readonly group: PlacedRowGroup;
  readonly start: number;
  readonly rowCount: number;
  /** Rows of the other pieces of the group. */
  readonly pieceRows: number;
}

/**
 * Which pieces of a file are read, in order. Their size is a power of two and they begin at its multiples, so that a
 * smaller piece lies within one larger piece: what could be read once can be read in smaller pieces, too.
 */
export class ReadPlan {
  private groupAt = 0;
  private nextStart = 0;
  private pieceRows = 0;

  constructor(
    private readonly rowGroups: readonly PlacedRowGroup[],
    /** Null: all. */
    private readonly columns: readonly string[] | null,
    private readonly wanted: ((row: number) => boolean) | undefined,
  ) {}

  next(): Piece | null {
    for (;;) {
      const group = this.rowGroups[this.groupAt];
      if (group === undefined) return null;
      if (this.nextStart === 0 && this.pieceRows === 0) this.pieceRows = pieceRowsOf(group, this.columns);
      while (this.nextStart < group.rowCount) {
        const start = this.nextStart;
        const rowCount = Math.min(this.pieceRows, group.rowCount - start);
        this.nextStart += rowCount;
        if (this.hasWanted(group.start + start, rowCount)) return { group, start, rowCount, pieceRows: this.pieceRows };
      }
      this.leaveGroup();
    }
  }

  /** What the piece before took: where that was too much, the next ones are smaller. */
  sawBytes(piece: Piece, sizeBytes: number): void {
    if (sizeBytes > PIECE_BYTES * OVERSIZE) this.pieceRows = floorToPower((piece.pieceRows * PIECE_BYTES) / sizeBytes);
  }

  /** The rest of the row group is not read. */
  leaveGroup(): void {
    this.groupAt += 1;
    this.nextStart = 0;
    this.pieceRows = 0;
  }

  private hasWanted(start: number, rowCount: number): boolean {
    if (this.wanted === undefined) return true;
    for (let row = start; row < start + rowCount; row += 1) if (this.wanted(row)) return true;
    return false;
  }
}

function pieceRowsOf({ rowCount, decodedBytes }: RowGroup, columns: readonly string[] | null): number {
  let sizeBytes = 0;
  for (const [name, bytes] of decodedBytes) if (columns?.includes(name) !== false) sizeBytes += bytes;
  return floorToPower(Math.min(MAX_PIECE_ROWS, (PIECE_BYTES * rowCount) / Math.max(1, sizeBytes)));
}

/** At least 1. */
function floorToPower(count: number): number {
  return 2 ** Math.floor(Math.log2(Math.max(1, count)));
}
